/** @file Plot: a long way to a place that the hero has always wanted to see, with two who point the way. */
import { someAnimal } from "../cast.ts";
import { a, capital } from "../english.ts";
import type { Plot } from "./plot.ts";

export const journey: Plot = ({ tell, hero }) => {
  const [goal, dream, sight] = tell.pick([
    ["the sea", "how blue it is", "the water was so wide that there was no end to it"],
    ["the snow on the mountain", "how cold it is", "everything was white and quiet"],
    ["the city", "how tall the houses are", "there were a thousand windows full of light"],
    ["the big waterfall", "how loud it is", "the water fell from the sky like thunder"],
    ["the end of the rainbow", "what is there", "there was no gold, but a field full of flowers in all colours"],
    ["the desert", "how hot it is", "there was nothing but yellow sand and a blue sky"],
    ["the lighthouse", "how high it is", "a bright light turned around and around in the dark"],
  ] as const);
  const first = someAnimal(tell, ({ noun }) => noun !== hero.noun, "old");
  const second = someAnimal(tell, ({ noun }) => noun !== hero.noun && noun !== first.noun, "young");
  const [way, trouble] = tell.pick([
    ["over the bridge", "the bridge was broken, so they had to walk through the cold water"],
    ["through the dark forest", "it was so dark that they had to sing to be brave"],
    ["over the hill", "the hill was so steep that they had to rest three times"],
    ["along the river", "the river was so wide that they had to build a raft"],
  ] as const);
  return [
    `${hero.Name} had never seen ${goal}. "I want to know ${dream}," ${hero.he} said. So one morning ${hero.he} ${tell.pick(["put bread and an apple into a bag", "packed a small bag", "put on warm shoes"])} and left.`,
    `After a while ${hero.he} met ${a(first.name.slice("the ".length))}. "Which way is it to ${goal}?" asked ${hero.name}. "Go ${way}," said ${first.name}. "But it is far, and the way is hard." "${tell.pick(["I am not afraid", "I have time", "I will try"])}," said ${hero.name}.`,
    `Then ${hero.he} met ${a(second.name.slice("the ".length))}. "May I come with you?" asked ${second.name}. "Of course. Two are better than one," said ${hero.name}. They went ${way}, but ${trouble}.`,
    `When the sun (went down|came up), they came to ${goal}. ${capital(sight)}. "${tell.pick(["It is even better than I thought", "Now I know", "I will never forget this"])}," said ${hero.name}. ${tell.pick([`They stayed until they were tired, and then they went home and told everybody about it.`, `${hero.Name} and ${second.name} sat there for a long time and did not say a word.`])}`,
  ];
};
