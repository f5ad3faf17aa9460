import type { Location } from '../domain/location.ts'
import type { ObjectPage, ObjectStore } from '../ports/storage.ts'

type Page = { nextPageToken: string | null }

/** Each page that `ask` answers, to the end; the next one is asked for while a page is looked at. */
export async function* pagesOf<P extends Page>(
  ask: (from: { pageToken?: string }) => Promise<P>,
): AsyncGenerator<P> {
  let coming: Promise<P> | null = ask({})
  while (coming) {
    const page: P = await coming
    coming = page.nextPageToken === null ? null : ask({ pageToken: page.nextPageToken })
    coming?.catch(() => undefined) // whoever has seen enough does not wait for it
    yield page
  }
}

/** A directory's complete listing, page by page. */
export const listPages = (
  store: Pick<ObjectStore, 'list'>,
  directory: Location,
): AsyncGenerator<ObjectPage> => pagesOf((from) => store.list(directory, from))
