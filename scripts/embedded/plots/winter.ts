/** @file Plot: one gathers while the other plays, and winter comes for both. */
import type { Plot } from "./plot.ts";

export const winter: Plot = ({ tell, hero, friend }) => {
  const store = tell.pick(["nuts", "apples", "corn", "potatoes", "wood for the stove"]);
  const play = tell.pick([
    "danced in the grass",
    "slept in the sun",
    "sang from morning to evening",
    "played the flute",
    "swam in the lake",
  ]);
  return [
    `All summer long, ${hero.name} gathered ${store}. ${friend.Name} ${play}. "Why do you work so much?" asked ${friend.name}. "Come and play!" "Winter will come," said ${hero.name}. "Winter is far away," said ${friend.name} and laughed.`,
    `But the leaves turned (red and yellow|brown), and the days grew short. One morning everything was white. ${friend.Name} looked into the cupboard. It was empty! ${tell.pick(["The wind blew through the door.", `${friend.He} was cold and hungry.`, "There was not even a crumb."])}`,
    `There was a knock at ${hero.names} door. ${friend.Name} stood in the snow. "${tell.pick(["I was foolish", "You were right", "I should have listened to you"])}," ${friend.he} said. "May I come in?"`,
    `${tell.pick([`"Come in and get warm," said ${hero.name}. "There is enough for two."`, `${hero.Name} thought for a moment. Then ${hero.he} opened the door. "I have ${store}, and you have songs. We will share," ${hero.he} said.`])} The winter was long, but ${tell.pick(["it was warm in the little house", "together they were not bored for one day", `every evening ${friend.name} told a story`])}. And the next summer ${tell.pick([`${friend.name} helped with the work`, "they worked together, and they played together too"])}.`,
  ];
};
