// The page: `mount` with functions that ask the service from which the page came.
import { mount } from "./picture_search.js";

class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer. Does `crossmodal serve` still run?", 0);
  }
  const body = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (response.ok) return body;
  const why = response.status === 401
    ? "This page needs its token: open the address that `crossmodal serve` printed."
    : body.error;
  throw new ServiceError(why, response.status);
}

const quoted = encodeURIComponent;

const api = {
  collections: () => ask("/collections"),
  search: (query, signal) => ask("/search", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(query),
    signal,
  }),
  suggest: (prefix, collection) =>
    ask(`/suggest?prefix=${quoted(prefix)}&collection=${quoted(collection)}`),
  thumbnail: (collection, id) => `/thumbnail/${quoted(collection)}/${id}`,
  original: (collection, id) => `/original/${quoted(collection)}/${id}`,
  originals: (collection, ids) =>
    `/originals/${quoted(collection)}?${ids.map((id) => `ids=${id}`).join("&")}`,
};

// The token is in a cookie now; it need not stay in the address and the history.
if (location.search.startsWith("?token=")) history.replaceState(null, "", "/");
const { tunes } = await ask("/tunes").catch(() => ({ tunes: 0 }));
if (tunes) api.hear = () => location.assign("/hum");
mount(document.getElementById("search"), api);
