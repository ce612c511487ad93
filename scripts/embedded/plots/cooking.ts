/** @file Plot: one ingredient is missing, a neighbour has it, and the meal is eaten together. */
import { neighbour } from "../cast.ts";
import { list } from "../english.ts";
import type { Plot } from "./plot.ts";

const bake = "mixed everything in a bowl and put it in the oven";
const dishes: readonly { dish: string; needs: readonly string[]; work: string }[] = [
  { dish: "a cake", needs: ["eggs", "flour", "sugar", "butter"], work: bake },
  { dish: "a pot of soup", needs: ["carrots", "onions", "potatoes", "salt"], work: "cut everything and put it in a big pot" },
  { dish: "a stack of pancakes", needs: ["eggs", "flour", "milk"], work: "mixed everything in a bowl and heated the pan" },
  { dish: "an apple pie", needs: ["apples", "flour", "sugar", "butter"], work: bake },
  { dish: "a loaf of bread", needs: ["flour", "water", "salt"], work: bake },
  {
    dish: "a fruit salad",
    needs: ["apples", "pears", "bananas", "lemons"],
    work: "cut everything into small pieces and mixed it in a bowl",
  },
  { dish: "a plate of cookies", needs: ["flour", "sugar", "butter", "honey"], work: bake },
];

export const cooking: Plot = ({ tell, hero, elder, friend }) => {
  const { dish, needs, work } = tell.pick(dishes);
  const short = dish.split(" ").at(-1)!; // "cake"
  const missing = tell.pick(needs);
  const helper = neighbour(tell);
  const reason = tell.pick([
    `for ${elder.names} birthday`,
    `for ${friend.name}, who was hungry`,
    `because ${friend.name} was coming to visit`,
    "for dinner",
  ]);
  return [
    `One (day|afternoon|Sunday), ${hero.name} wanted to make ${dish} ${reason}. ${hero.He} put ${list(needs.filter((item) => item !== missing))} on the table. But there ${missing.endsWith("s") ? "were" : "was"} no ${missing}!`,
    `"I cannot make ${dish} without ${missing}," said ${hero.name}. So ${hero.he} (took a basket and went|ran|went) to ${helper.name}. "Please, may I have some ${missing}?" ${hero.he} asked. "${tell.pick(["Of course", "Yes", "Gladly"])}," said ${helper.name}. "${tell.pick(["But you must give me a piece.", "Will you bring me some when you are done?", "And may I come and taste?"])}"`,
    `At home ${hero.name} ${work}. ${tell.pick(["Soon the whole house smelled wonderful.", "It was a lot of work, but it was fun.", `${hero.He} got flour on ${hero.his} nose.`])}`,
    `When it was ready, ${hero.name}, ${friend.name} and ${helper.name} sat down at the table. ${tell.pick([`"This is the best ${short} in the world!" said ${friend.name}.`, "They ate until nothing was left.", `"It tastes so good because we eat it together," said ${helper.name}.`])}`,
  ];
};
