// The page /hum: `mountHum` with functions that ask the service from which the page came.
import { mountHum } from "./hum_view.js";
import { wavOf } from "./sound.js";

async function ask(address, options) {
  const response = await fetch(address, options).catch(() => {
    throw new Error("The service does not answer. Does `crossmodal serve` still run?");
  });
  const body = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (response.ok) return body;
  throw new Error(response.status === 401 ? "This page needs its token: open the address that `crossmodal serve` printed." : body.error);
}

// The token is in a cookie now; it need not stay in the address and the history.
if (location.search.startsWith("?token=")) history.replaceState(null, "", "/hum");
mountHum(document.getElementById("hum"), {
  describe: () => ask("/tunes"),
  find: (samples) => ask("/hum", { method: "POST", headers: { "content-type": "audio/wav" }, body: wavOf(samples) }),
  worklet: "/page/recorder_worklet.js",
  about: "The sound goes to the service, which keeps none of it.",
});
