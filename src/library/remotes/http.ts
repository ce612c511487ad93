/** @file A library on a web server, to read: a library's folder with a catalogue, served as it is. */
import { PassingFailure, type RetryPolicy } from "../../formats/hub-retry.ts";
import { LowrankError, messageOf } from "../../util/index.ts";
import type { ObjectStore } from "./objects.ts";
import { resumable } from "./resumable.ts";

const withoutSecrets = (url: URL): string => `${url.origin}${url.pathname}`;

const refusal = (status: number, where: string): Error => {
  if (status >= 500 || status === 429 || status === 408) return new PassingFailure(`${where} answered ${status}.`);
  if (status === 404 || status === 410)
    return new LowrankError("not-found", `There is no such file (${status}).`, { where, fix: "Check the address." });
  return new LowrankError("network-failed", `The server answered ${status}.`, {
    where,
    fix: "Check the address and your right to read it.",
  });
};

/** The body of an answer from a byte on; silence and broken lines are passing failures. */
async function* bytesFrom(url: URL, from: number, { silence }: RetryPolicy): AsyncGenerator<Uint8Array> {
  const where = withoutSecrets(url);
  const aborter = new AbortController();
  const alarm = setTimeout(() => aborter.abort(), silence);
  const broken = (error: unknown): unknown =>
    LowrankError.is(error) || error instanceof PassingFailure
      ? error
      : new PassingFailure(
          aborter.signal.aborted
            ? `${where} was silent for ${silence / 1000} s.`
            : `The connection to ${url.host} failed: ${messageOf((error as Error).cause ?? error)}.`,
          { cause: error },
        );
  try {
    const headers = { "accept-encoding": "identity", ...(from > 0 && { range: `bytes=${from}-` }) };
    const response = await fetch(url, { headers, signal: aborter.signal });
    if (!response.ok) {
      await response.body?.cancel();
      throw refusal(response.status, where);
    }
    // A server that knows no ranges sends everything.
    let skip = response.status === 206 ? 0 : from;
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      alarm.refresh();
      const rest = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - rest.length;
      if (rest.length > 0) yield rest;
    }
  } catch (error) {
    throw broken(error);
  } finally {
    clearTimeout(alarm);
  }
}

/** An address without a user's name and password in it: they would end up in messages. */
export const plainAddress = (text: string, where: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "") return url;
  throw new LowrankError("invalid-argument", "This is not a plain http or https address.", {
    where,
    fix: "Write for example https://server/folder, without user name and password.",
  });
};

/** A web server as a store; `address` is that of the library's folder. */
export const httpStore = (address: string, policy: RetryPolicy): ObjectStore => {
  const base = plainAddress(address.endsWith("/") ? address : `${address}/`, "remote");
  return {
    address: withoutSecrets(base),
    get: (key, from = 0) => {
      const url = new URL(key, base);
      return resumable(policy, withoutSecrets(url), from, (position) => bytesFrom(url, position, policy));
    },
  };
};
