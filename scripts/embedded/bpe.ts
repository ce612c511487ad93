/** @file Trains byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019) on texts. It knows no file format and no special tokens. */

/** What byte-level tokenizers split texts into before any merge; merges never cross these pieces. */
const piece = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The printable character that stands for each byte: itself where it prints, else one from U+0100 on. */
export const byteCharacters: readonly string[] = (() => {
  const prints = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(prints(byte) ? byte : next++));
})();

/** A pair of tokens that becomes one. */
export type Merge = readonly [left: string, right: string];

interface Word {
  tokens: string[];
  count: number;
}

const joinPair = (tokens: readonly string[], [left, right]: Merge): string[] => {
  const joined: string[] = [];
  for (let index = 0; index < tokens.length; index++) {
    const pair = tokens[index] === left && tokens[index + 1] === right;
    joined.push(pair ? left + right : tokens[index]);
    if (pair) index++;
  }
  return joined;
};

/** The most frequent neighbours; of equally frequent ones, the first in code unit order. */
const bestPair = (words: readonly Word[]): Merge | undefined => {
  const counts = new Map<string, number>();
  for (const { tokens, count } of words)
    for (let index = 1; index < tokens.length; index++) {
      const key = `${tokens[index - 1]} ${tokens[index]}`;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  let best = "";
  let most = 1;
  for (const [key, count] of counts)
    if (count > most || (count === most && best !== "" && key < best)) {
      best = key;
      most = count;
    }
  const [left, right] = best.split(" ");
  return best === "" ? undefined : [left, right];
};

/** The first `size` merges for the texts, fewer if no pair occurs twice any more. The same texts give the same merges. */
export const trainBpe = (texts: Iterable<string>, size: number): Merge[] => {
  const counts = new Map<string, number>();
  for (const text of texts) for (const [match] of text.matchAll(piece)) counts.set(match, (counts.get(match) ?? 0) + 1);
  const encoder = new TextEncoder();
  const words: Word[] = Array.from(counts, ([text, count]) => ({
    count,
    tokens: Array.from(encoder.encode(text), (byte) => byteCharacters[byte]),
  }));
  const merges: Merge[] = [];
  while (merges.length < size) {
    const merge = bestPair(words);
    if (!merge) break;
    merges.push(merge);
    for (const word of words) if (word.tokens.includes(merge[0])) word.tokens = joinPair(word.tokens, merge);
  }
  return merges;
};
