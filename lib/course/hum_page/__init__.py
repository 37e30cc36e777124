"""Hum search wholly in a browser: one HTML file that holds the page, the search and 4,433 tunes.

    crossmodal course hum-page            writes build/hum/index.html

Nothing is sent: the file has no address to send to, and its content security policy forbids it. It
is opened from a folder, from a web server, or from a page of the book. Browsers give a microphone
to https, to localhost and, most of them, to files; a sound file can be chosen everywhere.

The pitch is tracked by autocorrelation, as `track_by_autocorrelation` does it. The search has two
stages: `ContourVectorMatcher` at seven tempos finds 400 tunes, `DtwMatcher` orders them. All of it
is written again in plain JavaScript, and a test compares it with Python.

The network swift-f0 (135 kB) would run in a browser too, with onnxruntime-web. It is not used: the
smallest WebAssembly file of onnxruntime-web has 14.2 MB (npm, version 1.30.0,
`ort-wasm-simd-threaded.wasm`), nine times the size of this page, and a page that is opened from a
file may not fetch a second file.
"""

from lib.course.hum_page.build import build_hum_page, packed_tunes
