/** @file Plot: a game of hide and seek with somebody who hides too well. */
import { numberWord } from "../english.ts";
import { fineDay, type Plot } from "./plot.ts";

/** Where they play, and what one can look behind there. */
const places: readonly (readonly [place: string, marks: readonly string[]])[] = [
  ["in the garden", ["the roses", "the apple tree", "the stone wall"]],
  ["in the park", ["the swings", "the old bench", "the fountain"]],
  ["in the forest", ["the tall trees", "the ferns", "the mushrooms"]],
  ["on the beach", ["the rocks", "the boats", "the dunes"]],
  ["by the river", ["the wooden bridge", "the reeds", "the old willow"]],
  ["on the farm", ["the barn", "the hen house", "the cart"]],
  ["on the hill", ["the windmill", "the bushes", "the big rock"]],
];

export const hide: Plot = ({ tell, hero, friend, elder }) => {
  const [place, marks] = tell.pick(places);
  const [empty, other] = tell.sample(marks, 2);
  const [spot, sign] = tell.pick([
    ["in an empty barrel", "a sneeze"],
    ["under a heap of leaves", "a giggle"],
    ["in the branches of a tree", "a branch that shook"],
    ["behind a wheelbarrow", "a foot that stuck out"],
    ["under an old blanket", "a loud snore"],
  ] as const);
  return [
    `${fineDay}, ${hero.name} and ${friend.name} played hide and seek ${place}. ${hero.Name} closed ${hero.his} eyes and counted to ${numberWord(tell.pick([10, 12, 20]))}. "I am coming!" ${hero.he} called.`,
    `${hero.He} looked behind ${empty}. Nobody. ${hero.He} looked near ${other}. Nobody. (The sun went lower and lower|A long time went by). "${friend.Name}, where are you?" called ${hero.name}. There was no answer. ${hero.Name} began to worry.`,
    `${elder.Name} came to help. They were very quiet. Then there was ${sign}! And there was ${friend.name}, ${spot}. ${friend.He} had hidden so well that ${friend.he} had fallen asleep.`,
    tell.pick([
      `"You won," said ${hero.name}. "What did I win?" asked ${friend.name} and yawned.`,
      `They laughed all the way home. "Next time you must count," said ${hero.name}.`,
      `"I am so glad that I found you," said ${hero.name}, and they went home to eat.`,
    ]),
  ];
};
