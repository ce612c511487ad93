/** @file One request to a Hugging Face hub: its redirects, the token, silence and refusals. It knows nothing about the cache or about commits. */
import { LowrankError, messageOf } from "../util/index.ts";
import { PassingFailure, type RetryPolicy } from "./hub-retry.ts";

const MOST_REDIRECTS = 8;

/** A hub and the right to read from it, or to write to it. */
export interface HubClient {
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly policy: RetryPolicy;
}

/** An answer whose body is still to come. */
export interface HubAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The bytes of the body; a connection that breaks or falls silent throws `PassingFailure`. */
  body(): AsyncGenerator<Uint8Array>;
}

export interface HubRequest {
  readonly method?: "GET" | "HEAD" | "POST" | "PUT";
  /** First byte wanted of the body; default 0. */
  readonly from?: number;
  /** What is sent, made anew for every attempt, with its length in bytes and its type. */
  readonly body?: { readonly bytes: number; readonly type: string; stream(): AsyncIterable<Uint8Array> };
}

/** A client for an endpoint such as `https://huggingface.co`; the token is sent to that origin only and is in no error. */
export const hubClient = (endpoint: string, token: string | undefined, policy: RetryPolicy): HubClient => {
  const url = URL.canParse(endpoint) ? new URL(`${endpoint.replace(/\/+$/, "")}/`) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new LowrankError("invalid-argument", "The hub's endpoint is not a plain http or https address.", {
      where: "HF_ENDPOINT",
      fix: "Give an address such as https://huggingface.co, without user name and password.",
    });
  }
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new LowrankError("invalid-argument", "The hub's token contains characters that no token has.", {
      where: "HF_TOKEN",
      fix: "Copy it again from the hub's settings, without spaces or line ends.",
    });
  }
  return { endpoint: url, token, policy };
};

const withoutQuery = (url: URL): string => `${url.origin}${url.pathname}`; // Signed addresses carry rights in their query.

const isElsewhere = (client: HubClient, url: URL): boolean => url.origin !== client.endpoint.origin;

// Retry-After is a number of seconds or a date (RFC 9110 § 10.2.3).
const retryAfterOf = (response: Response): number | undefined => {
  const text = response.headers.get("retry-after") ?? "";
  const pause = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(pause) ? undefined : Math.max(0, pause);
};

const missing: Record<string, string> = {
  RepoNotFound: "The hub has no such model",
  RevisionNotFound: "The model has no such revision",
  EntryNotFound: "The model has no such file",
};

/** What it means to be refused the right to write. */
const writeRefusal = (client: HubClient, status: number, where: string): LowrankError =>
  new LowrankError("network-failed", `This account may not write there (${status}).`, {
    where,
    fix:
      client.token === undefined
        ? "Set HF_TOKEN to a token of your account that may write."
        : "Check that HF_TOKEN may write to this model.",
  });

const refusal = (client: HubClient, response: Response, url: URL, method: string): Error => {
  const { status } = response;
  const where = withoutQuery(url);
  const reason = response.headers.get("x-error-code") ?? "";
  // A signed address elsewhere expires; asking the hub again gives a fresh one.
  if (status >= 500 || status === 429 || status === 408 || (status === 403 && isElsewhere(client, url))) {
    return new PassingFailure(`${where} answered ${status}.`, { retryAfter: retryAfterOf(response) });
  }
  if ((status === 401 || status === 403) && method !== "GET" && method !== "HEAD") return writeRefusal(client, status, where);
  if (status === 404) {
    return new LowrankError("not-found", `${missing[reason] ?? "The hub has no such model, revision or file"} (404).`, {
      where,
      fix: "Check the spelling of the model and of its revision.",
    });
  }
  if (status === 401 || status === 403) {
    const gated = reason === "GatedRepo" || status === 403;
    const what = gated ? "The model is gated and this account may not read it" : "The model does not exist, or it is private or gated";
    const rights = client.token === undefined ? "set HF_TOKEN to a token of your account" : "check that HF_TOKEN belongs to that account";
    return new LowrankError("network-failed", `${what} (${status}).`, {
      where,
      fix: `Check the name, accept the licence on the model's page, and ${rights}.`,
    });
  }
  return new LowrankError("network-failed", `The server answered ${status}.`, {
    where,
    fix: "Check that HF_ENDPOINT is a Hugging Face hub.",
  });
};

const redirectTarget = (response: Response, url: URL): URL | undefined => {
  const location = response.headers.get("location");
  if (response.status < 300 || response.status >= 400 || location === null) return undefined;
  const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  if (target !== undefined && (target.protocol === "https:" || target.protocol === url.protocol)) return target;
  throw new LowrankError("network-failed", "The server redirects to an address that is not safe to follow.", {
    where: withoutQuery(url),
    fix: "Check that HF_ENDPOINT is a Hugging Face hub.",
  });
};

/**
 * One request, without retries. Redirects are followed by hand: the token must not leave its origin, and a HEAD stops where the hub points elsewhere,
 * because the answer that points there describes the file. Throws `PassingFailure`, or a LowrankError for what no retry cures.
 */
export const request = async (client: HubClient, path: string, { method = "GET", from = 0, body }: HubRequest = {}): Promise<HubAnswer> => {
  const aborter = new AbortController();
  const alarm = setTimeout(() => aborter.abort(), client.policy.silence);
  let url = new URL(path, client.endpoint);

  const connectionFailure = (error: unknown): PassingFailure => {
    const silent = `${withoutQuery(url)} was silent for ${client.policy.silence / 1000} s.`;
    const broken = `The connection to ${url.host} failed: ${messageOf((error as Error).cause ?? error)}.`;
    return new PassingFailure(aborter.signal.aborted ? silent : broken, { cause: error });
  };

  const send = async (): Promise<Response> => {
    const headers = new Headers({ "accept-encoding": "identity", "user-agent": "lowrank" });
    if (client.token !== undefined && !isElsewhere(client, url)) headers.set("authorization", `Bearer ${client.token}`);
    if (from > 0) headers.set("range", `bytes=${from}-`);
    if (body !== undefined) {
      headers.set("content-length", String(body.bytes));
      headers.set("content-type", body.type);
    }
    try {
      const sending = body === undefined ? {} : { body: sent(body.stream()), duplex: "half" };
      return await fetch(url, { method, headers, redirect: "manual", signal: aborter.signal, ...(sending as RequestInit) });
    } catch (error) {
      throw connectionFailure(error);
    }
  };

  /** The alarm is for silence: what goes out counts as well as what comes in. */
  const sent = async function* (bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      alarm.refresh();
      yield chunk;
    }
  };

  const bytesOf = async function* (response: Response): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body ?? []) {
        alarm.refresh();
        yield chunk as Uint8Array;
      }
    } catch (error) {
      throw connectionFailure(error);
    } finally {
      clearTimeout(alarm);
    }
  };

  let answered = false;
  try {
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const response = await send();
      const target = redirectTarget(response, url);
      if (response.ok || (method === "HEAD" && target !== undefined && isElsewhere(client, target))) {
        answered = method !== "HEAD";
        return { status: response.status, headers: response.headers, body: () => bytesOf(response) };
      }
      await response.body?.cancel();
      if (target === undefined) throw refusal(client, response, url, method);
      url = target;
    }
    throw new LowrankError("network-failed", "The server redirects in circles.", { where: withoutQuery(url), fix: "Try again later." });
  } finally {
    if (!answered) clearTimeout(alarm); // Otherwise the alarm watches the body.
  }
};
