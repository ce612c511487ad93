/** @file Plot: things are given away one after the other, and the sums come out right. */
import { capital, count, numberWord, plural } from "../english.ts";
import { countedFoods } from "../lexicon.ts";
import { fineDay, type Plot } from "./plot.ts";

export const numbers: Plot = ({ tell, hero, friend, elder }) => {
  const food = tell.pick(countedFoods.filter((noun) => !["carrot", "onion", "potato", "lemon", "egg"].includes(noun)));
  const first = tell.between(1, 3);
  const second = tell.between(1, 3);
  const left = tell.between(0, 3);
  const total = first + second + left;
  const counted = capital(Array.from({ length: total }, (_, index) => numberWord(index + 1)).join(", "));
  const rest = left === 0 ? `no ${plural(food)}` : count(left, food);
  return [
    `${fineDay}, ${hero.name} had ${count(total, food)} in a basket. "I will count them," ${hero.he} said. "${counted}."`,
    `${hero.Name} met ${friend.name}, who was hungry. "Take ${count(first, food)}," said ${hero.name}. Now ${hero.he} had ${count(total - first, food)}. Then ${hero.he} met ${hero.his} ${elder.noun}. "${capital(count(second, food))} for you!" said ${hero.name}. Now ${hero.he} had ${rest}.`,
    left === 0
      ? `"My basket is empty," said ${hero.name}, "but ${tell.pick(["my heart is full", "everybody is happy", "I am not sad"])}." ${elder.Name} laughed and gave ${hero.him} ${tell.pick(["a kiss", "a hug", "a big bun"])}.`
      : `${hero.Name} sat down under a tree and ate the ${left === 1 ? "last one" : `last ${numberWord(left)}`}. ${tell.pick([`It was a good day for ${plural(food)}.`, `"Next time I will bring more," ${hero.he} said.`, `Sharing had made ${left === 1 ? "it" : "them"} taste even better.`])}`,
  ];
};
