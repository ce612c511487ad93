/** @file Examples of one row each: texts and chats for next-token prediction. It knows nothing about losses. */
import { materialise, type Batch } from "../batch.ts";
import type { Example } from "../example.ts";
import { alpacaFormat } from "../formats/alpaca.ts";
import { chatFormat } from "../formats/chat.ts";
import { completionFormat } from "../formats/completion.ts";
import type { Parsed } from "../formats/parsed.ts";
import { sharegptFormat } from "../formats/sharegpt.ts";
import { textFormat } from "../formats/text.ts";
import type { ExampleKind } from "./kind.ts";

/** In the order in which they are tried. */
export const rowFormats = {
  chat: chatFormat,
  sharegpt: sharegptFormat,
  completion: completionFormat,
  alpaca: alpacaFormat,
  text: textFormat,
} as const;

/** One example a row, or several where they are packed. */
export const rowKind: ExampleKind<Example, Batch, Parsed> = {
  noun: "example",
  formats: rowFormats,
  read: (parsed, encode) => {
    const example = encode(parsed);
    return typeof example === "string" ? example : [example];
  },
  complete: (examples) => examples,
  partsOf: (example) => ({ example }),
  lengthOf: ({ ids }) => ids.length,
  tokensOf: ({ ids }) => ids.length,
  whereOf: ({ where }) => where,
  contentOf: ({ ids, supervised }) => [`${ids.length} `, ids, supervised],
  packs: true,
  collate: materialise,
};
