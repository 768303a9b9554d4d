"""The front door: command line, settings, logs and wiring."""
