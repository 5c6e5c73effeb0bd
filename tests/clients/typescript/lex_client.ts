// The client that @atproto/lex makes, in `./generated/lex/`; it checks every answer that comes.

import { Client, XrpcResponseError, lexStringify, type LexValue } from '@atproto/lex'

import { fm } from './generated/lex/index.ts'
import { asked, outcomesOf, type Calls, type Outcome, type Subject } from './outcomes.ts'

const { actor, feed, index, library } = fm.plyr
const input = await asked()
const client = new Client({ service: input.service })

function callsAbout({ did, track, playable, list, legacyId }: Subject): Calls {
  return {
    // First, so that all answers after it are of the same count.
    [feed.recordPlay.$nsid]: (headers) => client.call(feed.recordPlay, { uri: track, idempotencyKey: 'one-play-of-it' }, { headers }),
    [actor.getProfile.$nsid]: (headers) => client.call(actor.getProfile, { actor: did }, { headers }),
    [actor.getProfiles.$nsid]: (headers) => client.call(actor.getProfiles, { actors: [did] }, { headers }),
    [actor.searchActors.$nsid]: (headers) => client.call(actor.searchActors, { q: 'artist' }, { headers }),
    [feed.getActivity.$nsid]: (headers) => client.call(feed.getActivity, { actor: did, types: ['track', 'like', 'comment', 'list'] }, { headers }),
    [feed.getActorLikes.$nsid]: (headers) => client.call(feed.getActorLikes, { actor: did }, { headers }),
    [feed.getActorTracks.$nsid]: (headers) => client.call(feed.getActorTracks, { actor: did, filter: 'all', limit: 10 }, { headers }),
    [feed.getComments.$nsid]: (headers) => client.call(feed.getComments, { uri: track, sort: 'timestamp' }, { headers }),
    [feed.getForYou.$nsid]: (headers) => client.call(feed.getForYou, { limit: 10 }, { headers }),
    [feed.getHot.$nsid]: (headers) => client.call(feed.getHot, { limit: 1 }, { headers }),
    [feed.getLatest.$nsid]: (headers) => client.call(feed.getLatest, { tags: ['ambient', 'live'], limit: 1 }, { headers }),
    [feed.getLikes.$nsid]: (headers) => client.call(feed.getLikes, { uri: track }, { headers }),
    [feed.getPlayback.$nsid]: (headers) => client.call(feed.getPlayback, { uri: playable }, { headers }),
    [feed.getRelated.$nsid]: (headers) => client.call(feed.getRelated, { uri: track }, { headers }),
    [feed.getTagged.$nsid]: (headers) => client.call(feed.getTagged, { tag: 'ambient' }, { headers }),
    [feed.getTags.$nsid]: (headers) => client.call(feed.getTags, { q: 'amb' }, { headers }),
    [feed.getTimeline.$nsid]: (headers) => client.call(feed.getTimeline, { limit: 10 }, { headers }),
    [feed.getTop.$nsid]: (headers) => client.call(feed.getTop, { period: 'all', by: 'likes' }, { headers }),
    [feed.getTrack.$nsid]: (headers) => client.call(feed.getTrack, { uri: track }, { headers }),
    [feed.getTracks.$nsid]: (headers) => client.call(feed.getTracks, { uris: [track, list] }, { headers }),
    [feed.searchTracks.$nsid]: (headers) => client.call(feed.searchTracks, { q: 'everybody', actor: did, tag: 'ambient' }, { headers }),
    [index.getRecordStatus.$nsid]: (headers) => client.call(index.getRecordStatus, { uri: track }, { headers }),
    [index.getRepoStatus.$nsid]: (headers) => client.call(index.getRepoStatus, { did }, { headers }),
    [index.getStats.$nsid]: (headers) => client.call(index.getStats, {}, { headers }),
    [index.requestSync.$nsid]: (headers) => client.call(index.requestSync, { did }, { headers }),
    [index.resolveLegacyId.$nsid]: (headers) => client.call(index.resolveLegacyId, { id: legacyId }, { headers }),
    [library.getActorLists.$nsid]: (headers) => client.call(library.getActorLists, { actor: did, purpose: 'album' }, { headers }),
    [library.getList.$nsid]: (headers) => client.call(library.getList, { uri: list }, { headers }),
    [library.getLists.$nsid]: (headers) => client.call(library.getLists, { uris: [list] }, { headers }),
    [library.getListsWithTrack.$nsid]: (headers) => client.call(library.getListsWithTrack, { uri: track }, { headers }),
    [library.searchLists.$nsid]: (headers) => client.call(library.searchLists, { q: 'album', purpose: 'album' }, { headers }),
  }
}

function complaintOf(thrown: unknown): Outcome {
  const { error, name } = thrown as XrpcResponseError
  const isOfServer = thrown instanceof XrpcResponseError
  const from = !isOfServer ? 'client' : thrown.matchesSchemaErrors() ? 'declared' : 'server'
  return { error: error ?? name, from, message: String(thrown) }
}

console.log(lexStringify((await outcomesOf(input, callsAbout, complaintOf)) as LexValue))
