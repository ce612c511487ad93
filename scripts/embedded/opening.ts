/** @file How a story begins: who there was, where, and what they loved. It knows no plot. */
import { named } from "./cast.ts";
import { a } from "./english.ts";
import type { Scene } from "./plots/index.ts";

const childHomes = [
  "in a small village",
  "in a little house by the sea",
  "at the edge of the forest",
  "in a big city",
  "on a farm",
  "in a yellow house on the hill",
];
const loves = [
  "to paint",
  "to sing",
  "to climb trees",
  "to read books",
  "to look at the stars",
  "to collect shells",
  "to ask questions",
  "to play in the rain",
  "to run in the wind",
  "to tell jokes",
  "to sleep in the sun",
  "to eat ripe plums",
];
const virtues = ["kind", "curious", "brave", "clever", "funny", "quiet", "cheerful", "patient", "careful", "shy"];

/** One to three sentences that introduce the hero, and sometimes the friend. */
export const opening = ({ tell, hero, friend }: Scene): string => {
  const home = hero.animal?.home ?? tell.pick(childHomes);
  const [virtue, other] = tell.sample(virtues, 2);
  const first = tell.pick([
    `Once upon a time, there was ${named(tell, hero)}.`,
    `There once was ${named(tell, hero)}.`,
    `Once there lived ${named(tell, hero)}.`,
    `${hero.Name} was a (${virtue}|${other}|little|young) ${hero.noun}.`,
    `${hero.Name} was a ${virtue} ${hero.noun} who lived ${home}.`,
  ]);
  const about = [
    `${hero.He} lived ${home}.`,
    `${hero.He} loved ${tell.pick(loves)}.`,
    `${hero.He} was (very|) ${virtue} and ${other}.`,
    `${hero.His} best friend was ${friend.animal ? `${a(friend.noun)} named ${friend.name}` : friend.name}.`,
    `Everybody liked ${hero.him}, because ${hero.he} was so ${tell.pick(["kind", "funny", "helpful", "cheerful"])}.`,
  ].filter((sentence) => !(first.includes(home) && sentence.includes(home)) && !(first.includes(virtue) && sentence.includes(virtue)));
  return [first, ...tell.sample(about, tell.between(0, 2))].join(" ");
};
