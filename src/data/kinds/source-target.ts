/** @file Texts to read, each with the text to write: for encoder–decoders. It knows nothing about losses. */
import { materialise, noLabel, type Batch } from "../batch.ts";
import { rowLength } from "../bucket.ts";
import type { Example } from "../example.ts";
import type { DataFormat, Parsed, Request } from "../formats/parsed.ts";
import type { ExampleKind } from "./kind.ts";
import { rowFormats } from "./rows.ts";

/** What the encoder reads, and what the decoder is to write; both end with the end token. */
export interface SourceTarget {
  readonly source: Example;
  readonly target: Example;
}

/** The targets, with their own tokens as labels, beside the sources of the same rows. */
export interface SourceTargetBatch extends Batch {
  readonly source: Batch;
}

interface Texts {
  readonly source: Parsed | Request;
  readonly target: string;
}

/** One request for each turn that the assistant is to learn, or the prompt and the completion. */
const textsOf = (parsed: Parsed): Texts[] => {
  if ("messages" in parsed)
    return parsed.messages.flatMap(({ role, content }, turn) => {
      if (role !== "assistant" || turn < Math.max(parsed.supervisedFrom, 1)) return [];
      return [{ source: { asked: { ...parsed, messages: parsed.messages.slice(0, turn) } }, target: String(content) }];
    });
  const joined = (isTarget: boolean): string =>
    parsed.segments
      .filter(({ supervised }) => supervised === isTarget)
      .map(({ text }) => text)
      .join("");
  return [{ source: { segments: [{ text: joined(false), supervised: true }] }, target: joined(true) }];
};

const { text: _withoutTarget, ...formats } = rowFormats;

/** One row for the source and one for the target. */
export const sourceTargetKind: ExampleKind<SourceTarget, SourceTargetBatch, Parsed> = {
  noun: "example",
  formats: Object.fromEntries(
    Object.entries(formats).map(([name, format]): [string, DataFormat] => [name, { ...format, learns: ["completion"] }]),
  ),
  read: (parsed, encode) => {
    const examples: SourceTarget[] = [];
    for (const texts of textsOf(parsed)) {
      const source = encode(texts.source);
      if (typeof source === "string") return `prompt: ${source}`;
      const target = encode({ segments: [{ text: texts.target, supervised: true }] });
      if (typeof target === "string") return `completion: ${target}`;
      examples.push({
        source: { ...source, supervised: new Uint8Array(source.ids.length) },
        // The first token is a label as well, predicted from the token that decoding begins with.
        target: { ...target, supervised: new Uint8Array(target.ids.length).fill(1) },
      });
    }
    return examples.length === 0 ? "nothing supervised" : examples;
  },
  complete: (examples) => examples,
  partsOf: ({ source, target }) => ({ source, target }),
  lengthOf: ({ source, target }) => Math.max(source.ids.length, target.ids.length),
  tokensOf: ({ source, target }) => source.ids.length + target.ids.length,
  whereOf: ({ source }) => source.where,
  contentOf: ({ source, target }) => [source, target].flatMap(({ ids }) => [`${ids.length} `, ids]),
  packs: false,
  collate: ({ examples, rows, batchSize, length }) => {
    const chosen = rows.map(([index]) => examples[index]);
    const rowsOf = (part: "source" | "target"): Batch => {
      const longest = chosen.reduce((most, example) => Math.max(most, example[part].ids.length), 0);
      return materialise({
        examples: chosen.map((example) => example[part]),
        rows: chosen.map((_, row) => [row]),
        batchSize,
        length: Math.min(rowLength(longest), length),
      });
    };
    const [source, target] = [rowsOf("source"), rowsOf("target")];
    return {
      ...target,
      labels: target.ids.map((id, place) => (target.segments[place] === 0 ? noLabel : id)),
      supervised: target.tokens,
      tokens: source.tokens + target.tokens,
      source,
    };
  },
};
