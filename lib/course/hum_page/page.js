// The page without a server: `mountHum` with functions that compute in the browser.

const packed = JSON.parse(document.getElementById("tunes").textContent);
const tunes = readTunes(packed), search = tuneSearch(tunes);

async function find(samples, tell) {
  tell?.("Listening for the pitch");
  await new Promise((go) => setTimeout(go, 20)); // the page shows that first
  const steps = hearMelody(samples);
  const seconds = steps.at(-1).onset + steps.at(-1).seconds;
  const remarks = seconds < 4.5 ? [`Only ${seconds.toFixed(1)} s were heard. Hum five seconds or more.`] : [];
  const notes = steps.map((step) => [step.onset, step.seconds, step.pitch]);
  return { heard: { seconds, notes }, remarks, searched: tunes.length, tunes: await search.find(steps, 10, tell) };
}

const worklet = document.getElementById("worklet").textContent;
mountHum(document.getElementById("hum"), {
  describe: async () => ({ tunes: tunes.length }),
  find,
  prepare: () => search.prepare(),
  worklet: `data:text/javascript,${encodeURIComponent(worklet)}`, // a page from a file may load no other address
  about: "Everything runs on this page: the sound and the search stay in the browser, and nothing is sent. Browsers give a microphone to pages of https, of this machine and, most of them, to pages from a file; a sound file can be chosen everywhere.",
});
globalThis.hum = { tunes, hearMelody, findTunes: search.find }; // for tests, and for those who look around
