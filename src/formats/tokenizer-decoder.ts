/** @file Decoders of `tokenizer.json` as steps that take pieces one by one and return text once it is final. It knows nothing about ids or vocabularies. */
import { LowrankError } from "../util/index.ts";
import { byteLevelBytes, fallbackByte } from "./tokenizer-bytes.ts";
import { flatten, patternText, type Component } from "./tokenizer-json.ts";

/** Takes pieces and returns those that no later piece can change; `flush` returns the rest and begins anew. */
export interface DecoderStep {
  push(piece: string): readonly string[];
  flush(): readonly string[];
}

const stateless = (change: (piece: string) => string): DecoderStep => ({ push: (piece) => [change(piece)], flush: () => [] });

/** A step whose first piece is treated differently. */
const firstDiffers = (change: (piece: string, first: boolean) => string): DecoderStep => {
  let first = true;
  return {
    push: (piece) => {
      const result = change(piece, first);
      first = false;
      return [result];
    },
    flush: () => {
      first = true;
      return [];
    },
  };
};

const byteLevel = (): DecoderStep => {
  let decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push: (piece) => [decoder.decode(byteLevelBytes(piece), { stream: true })],
    flush: () => {
      const rest = decoder.decode();
      decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      return [rest];
    },
  };
};

/** A run of byte pieces is text if all of it is UTF-8; otherwise each byte becomes a replacement character. So a run is final when it ends. */
const byteFallback = (): DecoderStep => {
  let run: number[] = [];
  const endRun = (): readonly string[] => {
    if (run.length === 0) return [];
    const bytes = Uint8Array.from(run);
    run = [];
    try {
      return [new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)];
    } catch {
      return ["\ufffd".repeat(bytes.length)];
    }
  };
  return {
    push: (piece) => {
      const byte = fallbackByte(piece);
      if (byte === undefined) return [...endRun(), piece];
      run.push(byte);
      return [];
    },
    flush: endRun,
  };
};

/** All pieces as one, so nothing is final before the end. */
const fuse = (): DecoderStep => {
  let text = "";
  return {
    push: (piece) => {
      text += piece;
      return [];
    },
    flush: () => {
      const whole = text;
      text = "";
      return [whole];
    },
  };
};

const strip = ({ content, start, stop }: Component): ((piece: string) => string) => {
  const count = (characters: readonly string[], most: number): number => {
    const length = characters.slice(0, most).findIndex((character) => character !== content);
    return length === -1 ? Math.min(most, characters.length) : length;
  };
  return (piece) => {
    const characters = Array.from(piece);
    const from = count(characters, start as number);
    const until = characters.length - count(characters.toReversed(), stop as number);
    return characters.slice(from, until).join("");
  };
};

/** `Fuse` and then `Strip` at the start only, as in Llama's decoder: pieces pass once the characters to strip are decided. */
const fuseAndStripStart = ({ content, start }: Component): DecoderStep => {
  let left = start as number;
  return {
    push: (piece) => {
      let from = 0;
      while (left > 0 && from < piece.length) {
        if (piece[from] === content) {
          from++;
          left--;
        } else left = 0;
      }
      return [piece.slice(from)];
    },
    flush: () => {
      left = start as number;
      return [];
    },
  };
};

const replace = (component: Component): DecoderStep => {
  const text = patternText(component);
  if (text === undefined) throw unsupported("Replace with a regular expression");
  return stateless((piece) => piece.replaceAll(text, () => component["content"] as string));
};

const cleanUp = (text: string): string =>
  text
    .replaceAll(/ ([.?!,])/g, "$1")
    .replaceAll(" ' ", "'")
    .replaceAll(/ (n't|'m|'s|'ve|'re)/g, "$1")
    .replaceAll(" do not", " don't");

const wordPiece = ({ prefix, cleanup }: Component): DecoderStep =>
  firstDiffers((piece, first) => {
    const joined = first ? piece : piece.startsWith(prefix as string) ? piece.slice((prefix as string).length) : ` ${piece}`;
    return cleanup === true ? cleanUp(joined) : joined;
  });

const metaspace = ({ replacement, prepend_scheme: scheme }: Component): DecoderStep =>
  firstDiffers((piece, first) => piece.replaceAll(replacement as string, first && scheme !== "never" ? "" : " "));

const unsupported = (type: string): LowrankError =>
  new LowrankError("unsupported", `The decoder ${type} of tokenizer.json is not offered.`, {
    fix: "Use a model whose decoder is ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip or WordPiece.",
  });

const step = (component: Component): DecoderStep => {
  switch (component.type) {
    case "ByteLevel":
      return byteLevel();
    case "ByteFallback":
      return byteFallback();
    case "Fuse":
      return fuse();
    case "Metaspace":
      return metaspace(component);
    case "Replace":
      return replace(component);
    case "Strip":
      return stateless(strip(component));
    case "WordPiece":
      return wordPiece(component);
    default:
      throw unsupported(component.type);
  }
};

const chain = (steps: readonly DecoderStep[]): DecoderStep => ({
  push: (piece) => steps.reduce<readonly string[]>((pieces, { push }) => pieces.flatMap(push), [piece]),
  flush: () => steps.reduce<readonly string[]>((pieces, { push, flush }) => [...pieces.flatMap(push), ...flush()], []),
});

/** The decoder as one step; without a decoder, pieces are joined with spaces. Types that are not offered are an `unsupported` error. */
export const decoderStep = (decoder: Component | null): DecoderStep => {
  const components = flatten(decoder);
  if (components.length === 0) return firstDiffers((piece, first) => (first ? piece : ` ${piece}`));
  const last = components.at(-1)!;
  // Joining is what a stream does anyway, so a `Fuse` at the end, or one with a strip of the start after it, holds nothing back.
  if (last.type === "Fuse") return chain(components.slice(0, -1).map(step));
  if (components.at(-2)?.type === "Fuse" && last.type === "Strip" && last["stop"] === 0)
    return chain([...components.slice(0, -2).map(step), fuseAndStripStart(last)]);
  return chain(components.map(step));
};
