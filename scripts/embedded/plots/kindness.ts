/** @file Plot: a small kindness is passed from one to the next until it comes back. */
import { neighbour, someAnimal } from "../cast.ts";
import { fineDay, type Plot } from "./plot.ts";

export const kindness: Plot = ({ tell, hero }) => {
  const first = neighbour(tell);
  const animal = someAnimal(
    tell,
    ({ noun }) => ["dog", "cat", "donkey", "horse", "duck", "hen", "goat"].includes(noun) && noun !== hero.noun,
    "hungry",
  );
  const [deed, thanks] = tell.pick([
    ["carried the heavy bag up the steps", "a warm bun"],
    ["picked up the apples that had rolled over the street", "a red apple"],
    ["swept the snow from the door", "a cup of cocoa"],
    ["found the lost glasses under the bench", "a silver coin"],
  ] as const);
  const back = tell.pick([
    `In the evening it rained, and ${hero.name} had no umbrella. "Come under mine," said the neighbour`,
    `In the evening ${hero.name} was tired, and the way was long. "Get on my cart," said the old farmer`,
    `In the evening ${hero.name} came home, and there stood ${hero.his} favourite soup. "I had such a good day," said ${hero.his} mother`,
  ]);
  const owner = tell.pick(["farmer", "shepherd"]);
  return [
    `${fineDay}, ${hero.name} helped ${first.name}. ${hero.He} ${deed}. "Thank you," said ${first.name}, and gave ${hero.him} ${thanks}.`,
    `${hero.Name} was so pleased that ${hero.he} sang on the way. That made a sad boy at a window smile. The boy went out and gave his bread to ${animal.name}. ${animal.Name} was so glad that ${animal.he} ran home to the ${owner}, who had been looking everywhere.`,
    `The ${owner} laughed with joy and gave flowers to everyone he met. ${back}. "Somebody gave me flowers today, and I want to give something too."`,
    `${hero.Name} did not know how it had begun. But you know it.`,
  ];
};
