/** @file Statements for an SQLite database, each prepared once. It knows nothing about tables. */
import type Database from "libsql";

type Statement = Database.Statement;

const prepared = new WeakMap<Database.Database, Map<string, Statement>>();

const statementFor = (database: Database.Database, sql: string): Statement => {
  const known = prepared.get(database) ?? new Map<string, Statement>();
  prepared.set(database, known);
  const statement = known.get(sql) ?? database.prepare(sql);
  known.set(sql, statement);
  return statement;
};

/** Changes rows; gives the id of the last one inserted. */
export const change = (database: Database.Database, sql: string, ...values: readonly unknown[]): number =>
  Number(statementFor(database, sql).run(...values).lastInsertRowid);

/** All rows that a query finds, each as the list of its columns. */
export const rows = <Row extends readonly unknown[]>(database: Database.Database, sql: string, ...values: readonly unknown[]): Row[] =>
  statementFor(database, sql)
    .raw()
    .all(...values) as Row[];

/** The first column of the first row, undefined where there is none. */
export const value = (database: Database.Database, sql: string, ...values: readonly unknown[]): unknown =>
  (
    statementFor(database, sql)
      .raw()
      .get(...values) as [unknown] | undefined
  )?.[0];
