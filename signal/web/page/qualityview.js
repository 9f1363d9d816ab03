// The bars of the connection's quality, and the table behind them.

import {newDialog} from './dialogs.js';
import {buttonById, byId, element} from './dom.js';
import {barsText, newQuality, newSample, qualityRows} from './quality.js';

const interval = 2000; // ms between two reports

/** QualityView shows the quality of one connection at a time. */
export class QualityView {
  #button = buttonById('qualityBtn');
  #rows = byId('qualityRows');
  #dialog = newDialog('qualityDialog', {opener: 'qualityBtn'});
  /** @type {(() => Promise<RTCStatsReport>) | null} */
  #getStats = null;
  /** @type {import('./quality.js').Sample | null} */
  #before = null;
  #timer = 0;

  /**
   * Shows the quality of a call from now on.
   * @param {() => Promise<RTCStatsReport>} getStats
   */
  start(getStats) {
    this.stop();
    this.#getStats = getStats;
    this.#button.hidden = false;
    this.#show(0);
    this.#poll();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#getStats = this.#before = null;
    this.#button.hidden = true;
    this.#dialog.close();
  }

  async #poll() {
    const getStats = this.#getStats;
    if (!getStats) return;
    try {
      const report = await getStats();
      if (getStats !== this.#getStats) return;
      this.#take(newSample(/** @type {any} */ (report).values(), performance.now()));
    } catch { /* the connection is closed */ }
    if (getStats === this.#getStats) this.#timer = setTimeout(() => this.#poll(), interval);
  }

  /** @param {import('./quality.js').Sample} sample */
  #take(sample) {
    const before = this.#before;
    this.#before = sample;
    if (!before) return;
    const quality = newQuality(sample, before);
    this.#show(quality.bars);
    const rows = qualityRows(quality);
    while (this.#rows.childElementCount < rows.length) this.#rows.append(newRow());
    rows.forEach((row, i) => row.forEach((text, j) => {
      const cell = this.#rows.children[i].children[j];
      if (cell.textContent !== text) cell.textContent = text;
    }));
  }

  /** @param {number} bars */
  #show(bars) {
    const label = `Connection quality: ${barsText(bars)}`;
    if (this.#button.title === label) return;
    this.#button.dataset.bars = String(bars);
    this.#button.title = label;
    this.#button.setAttribute('aria-label', label);
  }
}

function newRow() {
  const row = element('tr'), name = element('th');
  name.scope = 'row';
  row.append(name, element('td'));
  return row;
}
