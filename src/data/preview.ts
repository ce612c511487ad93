/** @file An example as a person can look at it: each token's text, with what is invisible made visible. It knows nothing about terminals. */
import type { Tokenizer } from "../formats/index.ts";
import type { Example } from "./example.ts";

export interface PreviewToken {
  readonly id: number;
  /** The token's text; control characters are shown as symbols such as ↵, others without a shape as `<U+200B>`. */
  readonly text: string;
  readonly supervised: boolean;
}

const symbols: Readonly<Record<string, string>> = { "\n": "↵", "\r": "␍", "\t": "→", "\u007f": "␡" };

const shown = (character: string): string => {
  const code = character.codePointAt(0)!;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code); // Unicode's control pictures
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
};

/** A text with every control and format character, line separator and unusual blank made visible; a space stays a space. */
export const visible = (text: string): string =>
  text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) => symbols[character] ?? shown(character));

/** The tokens of an example, in order. */
export const previewExample = ({ ids, supervised }: Example, tokenizer: Tokenizer): PreviewToken[] =>
  Array.from(ids, (id, position) => ({ id, text: visible(tokenizer.tokenText(id)), supervised: supervised[position] === 1 }));
