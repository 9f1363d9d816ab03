// Messages that came while nobody could see them.

/** Unread counts them and shows their number: in the title, and in a marker on the chat. */
export class Unread {
  count = 0;
  #marker;
  #list;
  #ontitle;

  /**
   * @param {HTMLElement} list of messages
   * @param {HTMLButtonElement} marker scrolls to the newest
   * @param {() => void} ontitle called when the prefix has changed
   */
  constructor(list, marker, ontitle) {
    this.#list = list;
    this.#marker = marker;
    this.#ontitle = ontitle;
    list.addEventListener('scroll', () => this.#look());
    document.addEventListener('visibilitychange', () => this.#look());
    marker.onclick = () => {
      list.lastElementChild?.scrollIntoView({block: 'end'});
      list.scrollTop = list.scrollHeight;
      list.focus();
    };
  }

  /** What stands before the title, such as "(2) ". */
  get prefix() { return this.count ? `(${Math.min(this.count, 99)}) ` : ''; }

  /** Counts a message unless it is seen at once. Called before it is in the list. */
  arrived() {
    if (!this.#isSeen) this.#set(this.count + 1);
  }

  /** Forgets what has arrived. */
  clear() {
    if (this.count) this.#set(0);
  }

  get #isSeen() {
    const {scrollHeight, scrollTop, clientHeight} = this.#list;
    return !document.hidden && scrollHeight - scrollTop - clientHeight < 60;
  }

  #look() {
    if (this.count && this.#isSeen) this.#set(0);
  }

  /** @param {number} count */
  #set(count) {
    this.count = count;
    this.#marker.hidden = !count;
    this.#marker.textContent = `${count} new ${count === 1 ? 'message' : 'messages'}`;
    this.#ontitle();
  }
}
