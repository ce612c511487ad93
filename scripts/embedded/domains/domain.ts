/** @file What a domain is: rows of prompt and completion that teach one adapter one habit. */
import type { Teller } from "../english.ts";

export interface Row {
  prompt: string;
  completion: string;
}

export interface Domain {
  /** The folder of its data and of its adapter. */
  name: string;
  /** One sentence for the model card: what the adapter does. */
  purpose: string;
  rows: { train: number; valid: number };
  write: (tell: Teller) => Row;
}
