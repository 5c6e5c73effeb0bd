// What third parties' clients have in common here: whom and what they ask about, and how they tell what came of it.
//
// Standard input is {"service": URL, "subjects": [Subject, …]}; every method is called once for every subject, one after
// another, and what came of each call is written as one line of JSON.

import { text } from 'node:stream/consumers'

type Did = `did:${string}:${string}`
type RecordUri = `at://${Did}/${string}.${string}.${string}/${string}`

export type Subject = {
  did: Did
  track: RecordUri
  playable: RecordUri
  list: RecordUri
  legacyId: number
  // Service tokens, by the methods that they are good for; a method that has none is called without.
  tokens: Record<string, string>
}
// `declared`: an error that the method's lexicon names. `server`: another one that the server named. `client`: what this
// client has against the answer.
export type Outcome = { output: unknown } | { error: string; from: 'declared' | 'server' | 'client'; message: string }
// By their NSIDs; `headers` are those of the call.
export type Calls = Record<string, (headers: Record<string, string>) => Promise<unknown>>

export type Asked = { service: string; subjects: Subject[] }

export const asked = async (): Promise<Asked> => JSON.parse(await text(process.stdin)) as Asked

export async function outcomesOf(
  { subjects }: Asked,
  callsAbout: (subject: Subject) => Calls,
  complaintOf: (thrown: unknown) => Outcome,
): Promise<Record<string, Outcome>[]> {
  const outcomes: Record<string, Outcome>[] = []
  for (const subject of subjects) {
    const outcome: Record<string, Outcome> = {}
    for (const [nsid, call] of Object.entries(callsAbout(subject))) {
      const token = subject.tokens[nsid]
      try {
        outcome[nsid] = { output: await call(token ? { authorization: `Bearer ${token}` } : {}) }
      } catch (thrown) {
        outcome[nsid] = complaintOf(thrown)
      }
    }
    outcomes.push(outcome)
  }
  return outcomes
}
