// The player of report.html: the skeleton drawn live, and one moment for video, timeline and plots.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("player-data").textContent);
  const bytes = text => Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
  const times = new Float64Array(bytes(data.times).buffer);
  const points = new Int16Array(bytes(data.points).buffer);
  const joints = points.length / 2 / times.length;
  const part = name => document.getElementById(name);
  const [player, video, canvas, slider, clock] = ["player", "clip", "drawn", "slider", "clock"].map(part);
  const pen = canvas.getContext("2d");

  // Which second of the video shows which second of the clip: pieces follow one another, gaps are left out.
  const pieceOf = time => data.pieces.findLast(piece => piece.start <= time) ?? data.pieces[0];
  const shown = times.map(time => { const piece = pieceOf(time); return piece.shown + time - piece.start; });
  const lastUpTo = (sorted, value) => {
    let low = 0, high = sorted.length;
    while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] <= value) low = middle + 1; else high = middle; }
    return Math.max(0, low - 1);
  };
  const nearest = time => {
    const row = lastUpTo(times, time);
    return row + 1 < times.length && times[row + 1] - time < time - times[row] ? row + 1 : row;
  };
  const said = time => {
    const ms = Math.round(time * 1000), rest = String(ms % 1000).padStart(3, "0");
    return `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}.${rest}`;
  };
  const eventAt = time => {
    const near = data.events.filter(event => Math.abs(event.time - time) <= event.within)
      .sort((one, other) => Math.abs(one.time - time) - Math.abs(other.time - time))[0];
    return near ? part(`event-${near.index}`).textContent.trim() : "";
  };

  let row = 0;
  const line = (ends, width, colour) => {
    pen.beginPath();
    for (const [x, y] of ends) pen.lineTo(x, y);
    [pen.lineWidth, pen.strokeStyle] = [width, colour];
    pen.stroke();
  };
  const draw = () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (!part("skeleton").checked) return;
    const at = joint => {
      const place = 2 * (row * joints + joint);
      return points[place] === -32768 ? null : [points[place] / 16, points[place + 1] / 16];
    };
    const seen = Array.from({length: joints}, (_, joint) => at(joint));
    const known = seen.filter(Boolean);
    if (!known.length) return;
    const extent = axis => Math.max(...known.map(point => point[axis])) - Math.min(...known.map(point => point[axis]));
    const width = Math.min(8, Math.max(1.5, Math.max(extent(0), extent(1)) / 110));
    const limbs = data.limbs.filter(([from, to]) => seen[from] && seen[to]);
    pen.lineCap = "round";
    for (const [from, to] of limbs) line([seen[from], seen[to]], width + 2, data.outline);
    for (const [from, to, colour] of limbs) line([seen[from], seen[to]], width, colour);
    seen.forEach((point, joint) => {
      if (!point) return;
      line([point, point], 2 * width + 3, data.outline);
      line([point, point], 2 * width + 1, data.joints[joint]);
    });
  };
  const show = next => {
    row = next;
    const time = times[row], event = eventAt(time), words = said(time) + (event ? ` ${event}` : "");
    clock.textContent = words;
    canvas.dataset.row = row;
    if (document.activeElement !== slider || video.paused) slider.setAttribute("aria-valuetext", words);
    slider.value = time;
    for (const head of document.querySelectorAll(".playhead")) {
      const {left, right, start, end} = head.dataset;
      const share = (time - start) / (end - start);
      head.hidden = !(share >= 0 && share <= 1);
      head.style.left = `${100 * (+left + share * (right - left))}%`;
    }
    draw();
  };

  // Just behind the picture's own moment, or rounding would show the one before it.
  const seekRow = wanted => {
    const next = Math.min(times.length - 1, Math.max(0, wanted));
    const ahead = next + 1 < shown.length ? (shown[next + 1] - shown[next]) / 2 : 0.001;
    video.currentTime = shown[next] + Math.min(0.001, ahead);
    show(next);
  };
  const seek = time => { video.pause(); seekRow(nearest(time)); };
  const follow = moment => { if (!video.seeking) show(lastUpTo(shown, moment + 0.0004)); };
  if ("requestVideoFrameCallback" in video) {
    const each = (_, frame) => { follow(frame.mediaTime); video.requestVideoFrameCallback(each); };
    video.requestVideoFrameCallback(each);
  } else {
    const each = () => { if (!video.paused) follow(video.currentTime); requestAnimationFrame(each); };
    requestAnimationFrame(each);
  }

  const play = part("play");
  const toggle = () => { if (video.paused) video.play(); else video.pause(); };
  for (const name of ["play", "pause", "ended"]) {
    video.addEventListener(name, () => { play.textContent = video.paused ? "Play" : "Pause"; });
  }
  // A pause may come between a picture and the word of it: back to the one that the skeleton was drawn for.
  video.addEventListener("pause", () => { if (!video.ended) seekRow(row); });
  play.addEventListener("click", toggle);
  video.addEventListener("click", toggle);
  part("back").addEventListener("click", () => { video.pause(); seekRow(row - 1); });
  part("next").addEventListener("click", () => { video.pause(); seekRow(row + 1); });
  part("speed").addEventListener("change", event => { video.playbackRate = Number(event.target.value); });
  part("skeleton").addEventListener("change", draw);
  slider.addEventListener("input", () => seek(Number(slider.value)));
  slider.addEventListener("keydown", event => {
    const jump = {PageUp: 1, PageDown: -1}[event.key], step = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
    if (jump) seek(times[row] + jump);
    else if (step) { video.pause(); seekRow(row + step); }
    else return;
    event.preventDefault();
  });

  // Words lead to their moment: the link itself goes to the player, so the browser's own "back" leads back.
  document.addEventListener("click", event => {
    const link = event.target.closest("a[data-at]");
    if (link) {
      seek(Number(link.dataset.at));
      setTimeout(() => slider.focus({preventScroll: true}));  // following the link takes the focus away
      return;
    }
    const strip = event.target.closest("[data-strip]");
    if (!strip) return;
    const {left, right, start, end} = strip.querySelector(".playhead").dataset;
    const box = strip.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - left) / (right - left);
    if (share >= -0.02 && share <= 1.02) seek(Number(start) + Math.min(1, Math.max(0, share)) * (end - start));
  });

  video.src = URL.createObjectURL(new Blob([bytes(part("player-video").textContent)], {type: "video/mp4"}));
  player.hidden = false;
  document.documentElement.classList.add("plays");
  seekRow(0);
})();
