"""A web page of somebody else's origin that plays audio from elsewhere, and a server for it."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.async_api import Browser, Page

GUARD_MS = 60_000
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Listening</title>
<audio crossorigin="anonymous" preload="auto"></audio>
<script>
const audio = document.querySelector('audio')
const happened = (name) => new Promise((done, failed) => {
  audio.addEventListener(name, done, { once: true })
  audio.addEventListener('error', () => failed(new Error(`${name}: ${audio.error.code} ${audio.error.message}`)))
})
const pause = (ms) => new Promise((done) => setTimeout(done, ms))

// Load, seek to near the end, play on from there, and seek back. The loudest sample that was really heard tells
// more than events: audio that a page has no right to read is silent to it.
async function listen(url) {
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  context.createMediaElementSource(audio).connect(analyser).connect(context.destination)
  const loaded = happened('loadedmetadata')
  audio.src = url
  await loaded
  const duration = audio.duration
  const seeked = happened('seeked')
  audio.currentTime = duration - 1.5
  await seeked
  const soughtTo = audio.currentTime
  await audio.play()
  const samples = new Float32Array(analyser.fftSize)
  let loudest = 0
  while (audio.currentTime < soughtTo + 0.5) {
    await pause(20)
    analyser.getFloatTimeDomainData(samples)
    loudest = Math.max(loudest, ...samples.map(Math.abs))
  }
  audio.pause()
  const playedTo = audio.currentTime
  const back = happened('seeked')
  audio.currentTime = 0.5
  await back
  const result = { duration, soughtTo, playedTo, backAt: audio.currentTime, loudest, error: audio.error && audio.error.message }
  await context.close()
  return result
}

// A part, by a Range header that a page may send as it likes (FROM-TO), or only after it was allowed to (-LENGTH).
async function part(url, range) {
  const answer = await fetch(url, { headers: { Range: `bytes=${range}` } })
  const bytes = Array.from(new Uint8Array(await answer.arrayBuffer()))
  const headers = Object.fromEntries(['content-range', 'content-length', 'accept-ranges', 'etag'].map((name) => [name, answer.headers.get(name)]))
  return { status: answer.status, bytes, headers }
}

async function decode(url) {
  const context = new AudioContext()
  const buffer = await context.decodeAudioData(await (await fetch(url)).arrayBuffer())
  await context.close()
  return buffer.duration
}

async function see(url) {
  const image = new Image()
  image.crossOrigin = 'anonymous'
  image.src = url
  await image.decode()
  return [image.naturalWidth, image.naturalHeight]
}
</script>
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = PAGE.encode() if self.path == "/" else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@asynccontextmanager
async def page_server() -> AsyncIterator[str]:
    """Serve the page on a port of its own for the length of a block, and give its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@asynccontextmanager
async def listening_page(browser: Browser, url: str) -> AsyncIterator[Page]:
    """Open the page in a browser that remembers nothing, for the length of a block."""
    context = await browser.new_context()
    try:
        page = await context.new_page()
        page.set_default_timeout(GUARD_MS)
        await page.goto(url)
        yield page
    finally:
        await context.close()
