/** @file Plot: there is no money for a present, so it is made by hand and loved the more. */
import { a, numberWord } from "../english.ts";
import { brightColours } from "../lexicon.ts";
import type { Plot } from "./plot.ts";

export const gift: Plot = ({ tell, hero, elder }) => {
  const [gift, making, reaction] = tell.pick([
    [
      "picture",
      `painted a picture of the two of them under ${tell.pick(["a rainbow", "the moon", "an apple tree"])}`,
      "hung it over the bed",
    ],
    ["song", `made up a song about ${tell.pick(["the sea", "the summer", "home"])}`, "sang it the whole day"],
    ["scarf", `knitted ${a(tell.pick(brightColours))} scarf from old wool`, "wore it every winter"],
    ["box", `made a small box out of wood and painted it ${tell.pick(brightColours)}`, "kept the best things in it"],
    ["necklace", "put small shells on a string", "wore it every day"],
    ["bird house", "built a bird house from old boards", "hung it in the apple tree, and soon a robin lived in it"],
  ] as const);
  return [
    `Soon it was ${elder.names} birthday. ${hero.Name} wanted to (buy|find) a (beautiful|wonderful) present, but ${hero.he} had only ${numberWord(tell.between(2, 5))} coins. In the shop everything cost more.`,
    `${hero.Name} walked home (sadly|slowly). On the way ${hero.he} ${tell.pick(["kicked a stone", "looked at the clouds", "listened to the birds"])} and thought. Suddenly ${hero.he} had an idea. "I will make something!" ${hero.he} said.`,
    `For ${numberWord(tell.between(2, 5))} days ${hero.he} worked in secret. ${hero.He} ${making}. ${tell.pick([`Nobody was allowed to see it.`, `It was not easy, but ${hero.he} did not give up.`, `It was a little crooked, but it was full of love.`])}`,
    `On the birthday ${hero.name} gave the ${gift} to ${elder.name}. "Did you make this for me?" asked ${elder.name}. ${hero.Name} nodded. ${elder.Name} ${tell.pick([`hugged ${hero.him}`, "had tears of joy", "smiled a big smile"])}. "${tell.pick(["This is the best present of all", "No shop has anything so beautiful", "I will keep it for ever"])}," ${elder.he} said, and ${reaction}.`,
  ];
};
