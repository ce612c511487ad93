/** @file The corpus of the embedded model: seeded stories, facts and talk. Document i depends on the seed and on i alone. */
import { hashText, random } from "../../src/util/index.ts";
import { hero } from "./cast.ts";
import { teller } from "./english.ts";
import { fact } from "./facts.ts";
import { storyOf } from "./story.ts";
import { talk } from "./talk.ts";

/** Document `index`: 60 % stories, 15 % facts, 25 % talk. */
export const documentAt = (seed: number, index: number): string => {
  const tell = teller(random(seed, hashText("corpus"), index));
  const kind = tell.between(1, 100);
  return kind <= 60 ? storyOf(tell, hero(tell)) : kind <= 75 ? fact(tell) : talk(tell);
};

/** Documents from `first` on until they hold `size` characters. */
export function* corpus(seed: number, size: number, first = 0): Generator<string> {
  let written = 0;
  for (let index = first; written < size; index++) {
    const document = documentAt(seed, index);
    written += document.length;
    yield document;
  }
}
