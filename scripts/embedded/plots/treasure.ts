/** @file Plot: a map leads past three marks to a treasure that is not gold. */
import { numberWord } from "../english.ts";
import { fineDay, type Plot } from "./plot.ts";

export const treasure: Plot = ({ tell, hero, friend }) => {
  const source = tell.pick([
    "found a map in an old book",
    "found a map in a bottle on the beach",
    "found a map behind a picture",
    "found a map in the pocket of an old coat",
    'got a map from a green parrot. "Ahoy!" said the parrot',
  ]);
  const [first, second] = tell.sample(
    ["the old mill", "the crooked tree", "the white rock", "the wooden bridge", "the dry well", "the empty house"],
    2,
  );
  const steps = tell.between(5, 20);
  const side = tell.pick(["left", "right"]);
  const [content, note] = tell.pick([
    ["two spoons, two cups and a jar of honey", "The best treasure is a meal with a friend"],
    ["a bag of seeds", "Plant these and you will be rich in summer"],
    ["an old flute", "Play, and you will never be alone"],
    ["a mirror", "Look here to see who found it"],
    ["a thick book full of stories", "Here are a hundred treasures"],
    ["a bag of gold coins made of chocolate", "Eat them before they melt"],
  ] as const);
  return [
    `${fineDay}, ${hero.name} ${source}. "A treasure map!" cried ${hero.name} and ran to ${friend.name}. "${tell.pick(["Will you come with me", "Shall we look for it", "Are you brave"])}?" "${tell.pick(["Aye, captain", "Of course", "Yes, let us go"])}!" said ${friend.name}.`,
    `First they went to ${first}. From there the map showed the way to ${second}. "Now ${numberWord(steps)} steps to the ${side}," read ${friend.name}. They counted (aloud|every step|together).`,
    `They dug (and dug|a deep hole). ${tell.pick([`"There is nothing here," said ${friend.name}.`, "The sun was hot, and their arms hurt.", "First they found an old shoe."])} Then the spade hit something hard. Clonk! It was a wooden box.`,
    `${hero.Name} opened it slowly. There was no gold in it, but ${content}, and a note: "${note}." ${tell.pick([`They looked at each other and laughed.`, `"I like it better than gold," said ${hero.name}.`, `"What a wonderful day," said ${friend.name}.`])}`,
  ];
};
