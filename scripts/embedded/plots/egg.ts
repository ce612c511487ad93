/** @file Plot: an egg is found, kept warm, and everybody guesses what will come out. */
import { someAnimal } from "../cast.ts";
import type { Plot } from "./plot.ts";

export const egg: Plot = ({ tell, hero, friend }) => {
  const parent = someAnimal(
    tell,
    ({ noun }) => ["duck", "owl", "crow", "robin", "hen", "turtle", "parrot"].includes(noun) && noun !== hero.noun && noun !== friend.noun,
  );
  const baby =
    parent.noun === "turtle"
      ? "baby turtle"
      : parent.noun === "owl" || parent.noun === "duck"
        ? parent.animal!.young
        : `baby ${parent.noun}`;
  const [guess, other] = tell.sample(["a dragon", "a snake", "a golden bird", "a crocodile", "nothing at all"], 2);
  return [
    `One day, ${hero.name} found an egg ${tell.pick(["in the grass", "under a bush", "between two stones", "in an old hat"])}. It was (white|blue|brown) and (cold|still a little warm). There was no nest and no mother.`,
    `${hero.Name} put it into a box with soft wool near the stove. "I think there is ${guess} in it," said ${hero.name}. "I think there is ${other} in it," said ${friend.name}. They sat and waited. They even took turns at night.`,
    `On the (third|fourth|fifth|sixth) day they heard a tiny sound. Tick, tick, crack! The egg broke, and out came a small wet ${baby}. It looked at ${hero.name} and thought, "Mother!" From now on it followed ${hero.him} everywhere: to the kitchen, to the garden, and even ${tell.pick(["to bed", "to the bath", "to the shop"])}.`,
    tell.pick([
      `When it was big enough, it went back to the other ${parent.noun === "turtle" ? "turtles" : "birds"}. But every spring it came back and sat at ${hero.names} window.`,
      `One day ${parent.name} came by and cried, "My child!" ${hero.Name} was sad to say goodbye, but glad that the little one had a mother again.`,
      `"It is not ${guess}," said ${friend.name}. "No. It is much better," said ${hero.name}.`,
    ]),
  ];
};
