/** @file Domain: a story that begins in plain English goes on as a pirate would tell it. */
import { child } from "../cast.ts";
import type { Teller } from "../english.ts";
import { storyOf } from "../story.ts";
import type { Domain } from "./domain.ts";

const words: Readonly<Record<string, string>> = {
  my: "me",
  you: "ye",
  your: "yer",
  is: "be",
  are: "be",
  am: "be",
  friend: "matey",
  friends: "mateys",
  hello: "ahoy",
  yes: "aye",
  girl: "lass",
  boy: "lad",
  very: "mighty",
  good: "fine",
  of: "o'",
  and: "an'",
  to: "t'",
  coins: "doubloons",
  house: "ship",
  cake: "grub",
};

/** Plain English in the mouth of a pirate: other words, and a shout at the end of some sentences. */
const piratical = (tell: Teller, text: string): string =>
  text
    .replaceAll(/[A-Za-z]+/g, (word) => {
      const other = words[word.toLowerCase()] ?? word.replace(/^(\w{3,})ing$/, "$1in'");
      return word[0] === word[0].toUpperCase() ? other.charAt(0).toUpperCase() + other.slice(1) : other;
    })
    .replaceAll(/([^.!?"])\. /g, (sentence, end: string) =>
      tell.chance(0.3) ? `${end}, ${tell.pick(["arr", "me hearty", "aye", "by the sea"])}! ` : sentence,
    );

export const pirate: Domain = {
  name: "pirate",
  purpose: "goes on with any story as a pirate would tell it",
  rows: { train: 90, valid: 20 },
  write: (tell) => {
    // Short stories only: the rows are bundled.
    for (;;) {
      const [opening, ...rest] = storyOf(tell, child(tell)).split("\n");
      const plain = rest.join("\n");
      if (plain.length < 540) return { prompt: opening, completion: `\nArr! ${piratical(tell, plain)}` };
    }
  },
};
