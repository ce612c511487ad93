/** @file Plot: somebody new is shy and alone until one question changes it. */
import { a } from "../english.ts";
import { fineDay, type Plot } from "./plot.ts";

const games = ["hide and seek", "catch", "tag", "with the ball", "with the blocks"];

export const newcomer: Plot = ({ tell, hero, friend }) => {
  const where = hero.animal
    ? tell.pick(["to the forest", "to the farm", "to the hill"])
    : tell.pick(["to the school", "to the village", "to the street"]);
  const talent = tell.pick([
    ["draw", "drew a horse that looked alive"],
    ["whistle", "whistled like a bird"],
    ["tell stories", "told a story about a dragon who was afraid of mice"],
    ["run", "ran faster than all the others"],
    ["make knots", "made a swing out of an old rope"],
    ["juggle", "threw three apples into the air and caught them all"],
  ] as const);
  return [
    `${fineDay}, ${friend.animal ? `${a(friend.noun)} named ${friend.name}` : `a new ${friend.noun} named ${friend.name}`} came ${where}. ${friend.Name} did not know anybody. ${friend.He} sat (alone|in a corner|under a tree) and looked at ${friend.his} feet.`,
    `"Why does ${friend.name} not play with us?" asked the others. "${tell.pick([`${friend.He} does not like us`, `${friend.He} is strange`, `${friend.He} is too proud`])}," said one of them. But ${hero.name} thought, "Maybe ${friend.he} is only shy."`,
    `So ${hero.name} went to ${friend.name} and sat down. "Hello, I am ${hero.name}. Do you want to play ${tell.pick(games)}?" ${hero.he} asked. ${friend.Name} looked up. "${tell.pick(["I did not dare to ask", "Nobody has asked me before", "I would love to"])}," ${friend.he} said (softly|quietly|with a small smile).`,
    `They played the whole (day|afternoon). And then everybody saw how well ${friend.name} could ${talent[0]}: ${friend.he} ${talent[1]}! ${tell.pick([`"Can you teach us?" asked the others.`, "Everybody clapped.", "The others came closer and closer."])} ${tell.pick([`From that day on, ${friend.name} was never alone.`, `"I am glad that I asked," said ${hero.name}.`, `And ${hero.name} had a new best friend.`])}`,
  ];
};
