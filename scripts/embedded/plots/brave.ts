/** @file Plot: the smallest one does what the big ones cannot or dare not. */
import { someAnimal } from "../cast.ts";
import type { Plot } from "./plot.ts";

export const brave: Plot = ({ tell, hero, friend }) => {
  const giant = someAnimal(tell, ({ size, noun }) => size === 3 && noun !== hero.noun && noun !== friend.noun, "big");
  const [trouble, tryOne, deed] = tell.pick([
    [
      "a heavy snow had closed the road, and the village had no bread",
      "got stuck in the snow",
      "took a sled, slid down the hill and brought bread from the next village",
    ],
    [
      "the clock in the tower stood still, and nobody knew what time it was",
      "did not fit through the small door",
      "crept between the wheels and pulled out a leaf",
    ],
    [
      "the big bell had no rope, and a flood was coming",
      "was too heavy for the ladder",
      "climbed up and rang the bell until everybody was safe",
    ],
    ["a little lamb had fallen into a deep, narrow hole", "was too wide for the hole", "climbed down on a rope and brought the lamb up"],
    [
      "a giant sat on the bridge and let nobody pass",
      "ran away when the giant shouted",
      'went up to him and asked, "Why are you angry?" and the giant told of a thorn in his foot',
    ],
  ] as const);
  const end = trouble.includes("giant")
    ? `${hero.Name} pulled out the thorn, and the giant never closed the bridge again.`
    : tell.pick(["Everybody cheered.", `"Hurray for ${hero.name}!" they all shouted.`]);
  return [
    `Everybody said that ${hero.name} was too small. Too small to carry wood, too small to row the boat, too small for everything. Then one day there was trouble: ${trouble}.`,
    `"I will do it, because I am the strongest," said ${giant.name}. But ${giant.he} ${tryOne}. "What now?" asked ${friend.name}. "I will go," said ${hero.name}. "You? You are too small!" they said. But ${hero.name} was already on the way.`,
    `${hero.His} heart beat fast, but ${hero.he} did not turn around. ${hero.Name} ${deed}. ${end}`,
    `"${tell.pick(["You are small, but your heart is big", "It was good that you are small", "I will never call you too small again"])}," said ${giant.name}. ${tell.pick([`${hero.Name} just smiled.`, `And that evening ${hero.name} sat in the best chair.`])}`,
  ];
};
