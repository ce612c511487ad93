/** @file Every domain, and its data: rows that differ, with no prompt of the held-out part in the training part. */
import { hashText, random } from "../../../src/util/index.ts";
import { teller } from "../english.ts";
import type { Domain, Row } from "./domain.ts";
import { orders } from "./orders.ts";
import { pirate } from "./pirate.ts";
import { weather } from "./weather.ts";

export { type Domain, type Row } from "./domain.ts";

export const domains: readonly Domain[] = [orders, pirate, weather];

/** The two parts of a domain's data. No prompt occurs twice in either or in both. */
export const domainData = (domain: Domain, seed: number): { train: Row[]; valid: Row[] } => {
  const { train, valid } = domain.rows;
  const rows = new Map<string, Row>();
  for (let index = 0; rows.size < train + valid; index++) {
    const row = domain.write(teller(random(seed, hashText(domain.name), index)));
    if (!rows.has(row.prompt)) rows.set(row.prompt, row);
  }
  const all = [...rows.values()];
  return { train: all.slice(0, train), valid: all.slice(train) };
};

/** One JSON object per line. */
export const jsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
