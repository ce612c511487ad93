/** @file Shows one training example as the model will see it, with the tokens that the loss counts marked. It knows nothing about tokenizers. */
import pc from "picocolors";
import { formatCount, formatPercent } from "./format.ts";

export interface PreviewToken {
  readonly text: string;
  readonly id: number;
  readonly supervised: boolean;
}

/** Shows line ends, and makes other control characters harmless: data must not steer the terminal. */
const printable = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex -- control characters are what is replaced
    .replace(/[\x00-\x08\x0b-\x1f]/g, (character) => String.fromCodePoint(0x2400 + character.charCodeAt(0)))
    .replace(/[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "�")
    .replace(/\n|↵/g, "↵\n");

const named = ({ text, id }: PreviewToken): string => `${JSON.stringify(text)} (${id})`;

/**
 * The text of an example, at most `longest` tokens of it (default 400), from both ends. Supervised stretches are green, or
 * stand in [[ ]] without colour. A last line gives their share and the first and last of them.
 */
export const formatPreview = (tokens: readonly PreviewToken[], { colour = false, longest = 400 } = {}): string => {
  const colours = pc.createColors(colour);
  const head = tokens.length <= longest ? tokens.length : Math.ceil(longest / 2);
  const tail = tokens.length <= longest ? tokens.length : tokens.length - Math.floor(longest / 2);

  const stretch = (text: string, supervised: boolean): string => {
    if (!supervised) return text.split("\n").map(colours.dim).join("\n");
    return colour ? text.split("\n").map(colours.green).join("\n") : `[[${text}]]`;
  };
  const marked = (part: readonly PreviewToken[]): string => {
    let result = "";
    for (let start = 0, end = 0; start < part.length; start = end) {
      while (end < part.length && part[end].supervised === part[start].supervised) end += 1;
      const text = part
        .slice(start, end)
        .map((token) => token.text)
        .join("");
      result += stretch(printable(text), part[start].supervised);
    }
    return result;
  };

  const omitted = tail > head ? ` … ${formatCount(tail - head)} tokens … ` : "";
  const supervised = tokens.filter((token) => token.supervised);
  const share = `${formatCount(supervised.length)} of ${formatCount(tokens.length)} tokens supervised (${formatPercent(supervised.length / tokens.length)})`;
  const ends = supervised.length === 0 ? "" : `, from ${named(supervised[0])} to ${named(supervised[supervised.length - 1])}`;
  return `${marked(tokens.slice(0, head))}${omitted}${marked(tokens.slice(tail))}\n${share}${ends}`;
};
