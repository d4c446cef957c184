/**
 * What workers are told at their birth of the data folder: judged here while their threads come up,
 * and once for all of them; what earlier starts left without use is given back before.
 *
 * Invariant: a journal that a running worker writes is never read; a successor is told what its
 * predecessor left.
 */
import type { FileSystem } from "../../runtime/storage/files.ts";
import type { JournalFileName } from "../../runtime/storage/journal-format.ts";
import { reclaim } from "../../runtime/storage/reclaim.ts";
import { type FolderSurvey, surveyFolder } from "../../runtime/storage/survey.ts";

export interface BirthSurveysOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  /** The node's persistent id, 16 hex digits. */
  readonly nodeId: string;
  /** This boot. */
  readonly boot: number;
}

export class BirthSurveys {
  readonly #options: BirthSurveysOptions;
  /** Workers that were born before. */
  readonly #born = new Set<number>();
  /** For those who have no predecessor in this boot. */
  #first: Promise<FolderSurvey> | undefined;

  constructor(options: BirthSurveysOptions) {
    this.#options = options;
  }

  /** For a worker that is born now. Rejects as surveyFolder does. */
  of(worker: number): Promise<FolderSurvey> {
    const { boot } = this.#options;
    if (this.#born.has(worker)) {
      const again = () => this.#survey((file) => file.boot < boot || file.worker === worker);
      // Nothing goes while it is looked at.
      return this.#first === undefined ? again() : this.#first.then(again, again);
    }
    this.#born.add(worker);
    this.#first ??= this.#surveyFirst();
    return this.#first;
  }

  async #surveyFirst(): Promise<FolderSurvey> {
    const { fs, folder, boot } = this.#options;
    const found = await this.#survey((file) => file.boot < boot);
    return reclaim(fs, folder, found);
  }

  #survey(include: (file: JournalFileName) => boolean): Promise<FolderSurvey> {
    return surveyFolder({ ...this.#options, include });
  }
}
