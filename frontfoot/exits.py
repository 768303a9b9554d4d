"""The exit codes of the command line: a promise to scripts. 0 is done; 130, interrupted, is Typer's own."""

ERROR = 1
"""An error of ours, or of this machine."""
USAGE = 2
"""Wrong usage or settings."""
BAD_CLIP = 3
"""This clip cannot be analysed."""
JOB_FAILED = 4
"""The job failed or was canceled."""
SERVER = 5
"""The server cannot be reached, or refuses."""
