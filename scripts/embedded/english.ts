/** @file Small English: templates with alternatives, articles, lists and number words. It knows no words of any story. */
import type { Random } from "../../src/util/index.ts";

/** What a grammar writes with: draws from one seeded generator. */
export interface Teller {
  /** Fills a template: `(a|b)` becomes one of its branches, innermost first, and spaces are tidied. */
  say(template: string): string;
  pick<T>(items: readonly T[]): T;
  /** Several different items, in random order. */
  sample<T>(items: readonly T[], count: number): T[];
  chance(probability: number): boolean;
  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number;
}

const group = /\(([^()]*)\)/;

/** A teller that draws from `random`. */
export const teller = (random: Random): Teller => {
  const pick = <T>(items: readonly T[]): T => items[random.integer(items.length)];
  return {
    pick,
    say: (template) => {
      let text = template;
      while (group.test(text)) text = text.replace(group, (_, inner: string) => pick(inner.split("|")));
      return text
        .replaceAll(/ {2,}/g, " ")
        .replaceAll(/ ([.,!?])/g, "$1")
        .trim();
    },
    sample: (items, count) => {
      const left = [...items];
      return Array.from({ length: Math.min(count, left.length) }, () => left.splice(random.integer(left.length), 1)[0]);
    },
    chance: (probability) => random.uniform() < probability,
    between: (low, high) => low + random.integer(high - low + 1),
  };
};

/** The phrase with "a" or "an". The lexicon has no word whose sound and spelling disagree, such as "hour" or "unicorn". */
export const a = (phrase: string): string => `${/^[aeiou]/i.test(phrase) ? "an" : "a"} ${phrase}`;

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** "a, b and c". */
export const list = (items: readonly string[], conjunction = "and"): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} ${conjunction} ${items.at(-1)}`;

const numbers =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split(
    " ",
  );

/** The word for a whole number from 0 to 20. */
export const numberWord = (value: number): string => numbers[value];

const irregular: Readonly<Record<string, string>> = {
  mouse: "mice",
  sheep: "sheep",
  fish: "fish",
  child: "children",
  leaf: "leaves",
  loaf: "loaves",
};

/** The plural of a noun or of a noun phrase, whose last word (or the word before "of") changes: "cup of tea" → "cups of tea". */
export const plural = (phrase: string): string => {
  const [head, ...rest] = phrase.split(" of ");
  const words = head.split(" ");
  const last = words.pop()!;
  const many =
    irregular[last] ??
    (/(?:s|x|ch|sh|tomato|potato)$/.test(last) ? `${last}es` : /[^aeiou]y$/.test(last) ? `${last.slice(0, -1)}ies` : `${last}s`);
  return [[...words, many].join(" "), ...rest].join(" of ");
};

/** "one apple", "two apples". */
export const count = (value: number, noun: string): string => `${numberWord(value)} ${value === 1 ? noun : plural(noun)}`;
