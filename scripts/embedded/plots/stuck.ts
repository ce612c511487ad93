/** @file Plot: a toy lands where its owner cannot reach, and an animal with the right skill brings it back. */
import { someAnimal, type Being } from "../cast.ts";
import { a } from "../english.ts";
import { brightColours, type Animal } from "../lexicon.ts";
import { fineDay, type Plot } from "./plot.ts";

interface Spot {
  where: string;
  /** What the hero tries, and why it does not work. */
  attempt: string;
  help: NonNullable<Animal["help"]>;
  offer: string;
  rescue: (thing: string, helper: Being) => string;
}

const tree: Spot = {
  where: "in the top of a tall tree",
  attempt: "jumped (and jumped|again and again), but the branch was too high",
  help: "climb",
  offer: "I can climb",
  rescue: (thing) => `climbed up the tree, (branch by branch|step by step), and pushed the ${thing} down`,
};
const roof: Spot = {
  where: "on the roof of the barn",
  attempt: "looked for a ladder, but (there was none|the ladder was too short)",
  help: "fly",
  offer: "I can fly",
  rescue: (thing) => `flew up to the roof and (carried|brought) the ${thing} down`,
};
const pond: Spot = {
  where: "in the middle of the pond",
  attempt: "tried to reach it with a long stick, but the stick was too short",
  help: "swim",
  offer: "I can swim",
  rescue: (thing) => `swam to the middle and pushed the ${thing} back to the (grass|shore)`,
};
const hole: Spot = {
  where: "down a (deep|dark) hole",
  attempt: "looked into the hole, but it was too narrow",
  help: "dig",
  offer: "I can dig",
  rescue: (thing) => `(dug and dug|crept into the hole) and came back with the ${thing}`,
};
const log: Spot = {
  where: "under a heavy (log|rock|cart)",
  attempt: "pulled and pushed, but it was too heavy",
  help: "pull",
  offer: "I am strong",
  rescue: (thing, { his }) => `pushed with all ${his} strength until the ${thing} was free`,
};

/** Each accident with the places where it may end. */
const accidents: readonly { thing: string; cause: (owner: Being) => string; spots: readonly Spot[] }[] = [
  { thing: "ball", cause: ({ Name }) => `${Name} kicked it too hard, and it landed`, spots: [tree, roof, pond] },
  { thing: "kite", cause: () => "The wind took it away, and it came down", spots: [tree, roof, pond] },
  { thing: "hat", cause: ({ his }) => `A strong wind blew it off ${his} head, and it landed`, spots: [tree, roof, pond] },
  { thing: "boat", cause: ({ Name }) => `${Name} gave it a big push, and it stopped`, spots: [pond] },
  { thing: "balloon", cause: ({ Name }) => `${Name} let go of the string, and it got stuck`, spots: [tree] },
  { thing: "ring", cause: ({ his }) => `It slipped from ${his} hand and rolled`, spots: [hole, log] },
  { thing: "coin", cause: ({ his }) => `It fell out of ${his} pocket and rolled`, spots: [hole, log] },
  { thing: "marble", cause: () => "It rolled and rolled, and it stopped", spots: [hole, log] },
];

export const stuck: Plot = ({ tell, hero }) => {
  const { thing, cause, spots } = tell.pick(accidents);
  const spot = tell.pick(spots);
  const where = tell.say(spot.where);
  const colour = tell.pick(brightColours);
  const helper = someAnimal(tell, ({ help, noun }) => help === spot.help && noun !== hero.noun);
  const worry = tell.pick([`My ${thing}!`, `How can I get it back?`, `What shall I do?`]);
  return [
    `${fineDay}, ${hero.name} was playing (outside|) with ${a(colour)} ${thing}. ${cause(hero)} ${where}. "Oh no! ${worry}" cried ${hero.name}.`,
    `${hero.Name} ${spot.attempt}. ${hero.He} (sat down and was very sad|began to cry|did not know what to do).`,
    `Then ${helper.name} came by. "Why are you sad?" asked ${helper.name}. "My ${colour} ${thing} is ${where}, and I cannot reach it," said ${hero.name}. "(Do not worry|Wait here). ${spot.offer}!" said ${helper.name}.`,
    `${helper.Name} ${spot.rescue(thing, helper)}. ${hero.Name} was (so happy|very happy|full of joy). "Thank you!" ${hero.he} said, and gave ${helper.name} some ${helper.animal!.food}. (From that day on, they were friends|After that, they often played together|Then they played together until the sun went down).`,
  ];
};
