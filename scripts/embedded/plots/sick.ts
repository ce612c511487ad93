/** @file Plot: a friend is ill, and a visit is the best medicine. */
import { weekdays } from "../lexicon.ts";
import type { Plot } from "./plot.ts";

export const sick: Plot = ({ tell, hero, friend }) => {
  const [illness, remedy] = tell.pick([
    ["a cold", "a pot of hot soup"],
    ["a sore throat", "a jar of honey and a cup of tea"],
    ["a fever", "a cold cloth and a glass of juice"],
    ["a broken leg", "a basket of plums"],
    ["a bad cough", "a cup of hot milk with honey"],
  ] as const);
  const amusement = tell.pick([
    "read a funny story",
    "told jokes",
    "sang a song about a fat king",
    "made a puppet out of a sock",
    "drew a monster with ten noses",
  ]);
  return [
    `On ${tell.pick(weekdays)}, ${friend.name} did not come to play. ${hero.Name} waited and waited. "Where is ${friend.name}?" ${hero.he} asked. "${friend.Name} has ${illness} and must stay in bed," said the doctor.`,
    `${hero.Name} thought about what would help. ${hero.He} went home, got ${remedy} and carried it to ${friend.names} house. ${friend.Name} lay in bed and looked (pale|tired|sad). "Everything hurts, and I am so bored," ${friend.he} said.`,
    `"I have brought you ${remedy}," said ${hero.name}. Then ${hero.he} ${amusement}. ${friend.Name} laughed (so much that the bed shook|until the cat ran away|for the first time that day). "I feel better already," ${friend.he} said.`,
    `After (three|four|a few) days ${friend.name} was well again. "${tell.pick(["You were my best medicine", "Thank you for coming", "Now I will do the same for you"])}," said ${friend.name}, and they ran outside together.`,
  ];
};
