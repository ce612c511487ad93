/** @file Plot: a noise that annoys everybody becomes music when others join in. */
import { a, capital } from "../english.ts";
import type { Plot } from "./plot.ts";

export const music: Plot = ({ tell, hero, friend, elder }) => {
  const [mine, mineSound, yours, yoursSound] = tell.pick([
    ["drum", "boom, boom, boom", "flute", "tweet, tweet"],
    ["bell", "ding, dong, ding", "drum", "boom, boom"],
    ["trumpet", "toot, toot, toot", "drum", "boom, boom"],
    ["fiddle", "squeak, squeak, squeak", "bell", "ding, ding"],
    ["tin pan", "clang, clang, clang", "flute", "tweet, tweet"],
  ] as const);
  const others = tell.pick([
    "the baker could not sleep",
    "the neighbours closed their windows",
    "the cat ran away",
    "the teacher could not think",
    "the birds flew away",
  ]);
  return [
    `${hero.Name} got ${a(mine)} for ${hero.his} birthday. "${capital(mineSound)}!" went the ${mine}, from morning to evening. ${hero.Name} loved it, but ${others}.`,
    `"${tell.pick(["Please be quiet", "Play something else", "My ears hurt"])}," said ${elder.name}. ${hero.Name} was sad. ${hero.He} took the ${mine} and went (to the hill|into the forest), where nobody would hear it.`,
    `There sat ${friend.name} with ${a(yours)}. "They sent me away too," said ${friend.name}. "${capital(yoursSound)}!" went the ${yours}. "${capital(mineSound)}!" went the ${mine}. They listened to each other and played (slowly|softly), and suddenly it was a song.`,
    `In the evening they walked back and played together. The windows opened. ${tell.pick(["The baker began to dance.", "The children clapped.", "Somebody began to sing."])} "${tell.pick(["That is beautiful!", "Play it again!", "Who are these fine players?"])}" they called. ${hero.Name} smiled at ${friend.name}. ${tell.pick(["Two sounds that listen to each other are music.", "Now nobody wanted them to be quiet.", `"Tomorrow again?" asked ${friend.name}.`])}`,
  ];
};
