/** @file Plot: a seed needs water, sun and patience before it gives something. */
import { numberWord } from "../english.ts";
import type { Plot } from "./plot.ts";

export const garden: Plot = ({ tell, hero, elder, friend }) => {
  const [plant, crop, use] = tell.pick([
    ["bean", "a basket full of green beans", "cooked a pot of soup"],
    ["pumpkin", "a round orange pumpkin", "baked a big pie"],
    ["sunflower", "a tall yellow flower", "put it in the window for everyone to see"],
    ["tomato", "a bowl full of red tomatoes", "made a salad"],
    ["carrot", "a bed full of sweet carrots", "made a cake"],
    ["apple", "a little tree with one red apple", "cut the apple into pieces for everyone"],
    ["rose", "a red rose", "gave it away as a present"],
    ["corn", "a whole row of tall yellow corn", "roasted it over the fire"],
  ] as const);
  const days = tell.between(3, 9);
  return [
    `In spring, ${elder.name} gave ${hero.name} a small ${plant} seed. "What can I do with it?" asked ${hero.name}. "${tell.pick(["Put it in the earth and wait", "Give it water and sun, and you will see", "Plant it and take good care of it"])}," said ${elder.name}.`,
    `${hero.Name} (dug|made) a little hole in the garden and put the seed in. Every (day|morning) ${hero.he} gave it water. After ${numberWord(days)} days there was still nothing. "${tell.pick(["Is it asleep", "Is it broken", "Why does it not grow"])}?" ${hero.he} asked. "Be patient," said ${elder.name}.`,
    `Then the rain came, and after the rain came the sun. One morning ${hero.name} saw a tiny green leaf. "It is growing!" ${hero.he} (cried|shouted). ${tell.pick(["The leaf grew into a plant, and the plant grew taller and taller.", `${hero.He} pulled out the weeds and kept the snails away.`, `${hero.He} sang to it every evening.`])}`,
    `In summer there was ${crop}. ${hero.Name} called ${friend.name}, and they ${use}. "${tell.pick(["Good things need time", "I am glad that I waited", "Next year I will plant ten seeds"])}," said ${hero.name}.`,
  ];
};
