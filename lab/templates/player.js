// A player for live HLS (RFC 8216): it reads the playlist again and again, and plays each new segment as it comes.
"use strict";
const video = document.querySelector("video[data-stream]");
const media = new MediaSource();

async function lines(address) {
  const text = await (await fetch(address, {cache: "no-store"})).text();
  return text.split("\n").filter((line) => line);
}

function done(buffer) {
  return new Promise((resolve) => buffer.addEventListener("updateend", resolve, {once: true}));
}

async function stream() {
  const master = await lines(video.dataset.stream);
  const codecs = /CODECS="([^"]+)"/.exec(master.join())[1];
  const playlist = new URL(master.at(-1), new URL(video.dataset.stream, location));
  const buffer = media.addSourceBuffer(`video/mp2t; codecs="${codecs}"`);
  media.duration = Infinity;
  for (let next = 0; ; await new Promise((resolve) => setTimeout(resolve, 700))) {
    const live = await lines(playlist);
    let number = Number(live.find((line) => line.startsWith("#EXT-X-MEDIA-SEQUENCE")).split(":")[1]);
    for (const name of live.filter((line) => !line.startsWith("#"))) {
      if (number >= next) {
        buffer.appendBuffer(await (await fetch(new URL(name, playlist))).arrayBuffer());
        await done(buffer);
        if (next === 0) video.currentTime = buffer.buffered.start(0);
        next = number + 1;
      }
      number += 1;
    }
    if (video.currentTime - buffer.buffered.start(0) > 30) {
      buffer.remove(0, video.currentTime - 10);
      await done(buffer);
    }
  }
}

media.addEventListener("sourceopen", stream, {once: true});
document.querySelector(".play-button").addEventListener("click", (event) => {
  event.target.remove();
  video.src = URL.createObjectURL(media);
  video.play();
});
