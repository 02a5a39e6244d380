//! The token that the server asks for: when the page is asked for one, and when the person is.
//!
//! The page gives tokens at run time and nothing but memory holds them. One that the server has taken once and
//! then refuses has expired: the page is asked for another at once. One that is refused before it was ever taken
//! is wrong, and so is the next, perhaps: the page is asked again after a while that doubles, never in a loop.

use std::fmt;
use std::sync::Arc;

use super::ident::Timestamp;

/// The first wait after a token that was never taken, milliseconds; it doubles with each.
const WAIT_MS: i64 = 5_000;
/// The longest wait, milliseconds.
const WAIT_MOST_MS: i64 = 300_000;

/// Whether a header can hold this, as browsers' `Headers` has it: Latin-1 without line ends.
#[must_use]
pub fn fits_header(text: &str) -> bool {
    text.chars().all(|c| (' '..='\u{ff}').contains(&c) && c != '\u{7f}')
}

/// A secret: neither its `Debug` nor anything else here writes it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// What the page gave; `None` for what no header can hold: nothing, or other than visible Latin-1.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.trim().is_empty() && fits_header(text)).then(|| Self(text.trim().into()))
    }

    /// For the request, and for nothing else.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// A server's words without the token: some echo what they refuse, and their words are kept and shown.
    #[must_use]
    pub fn hidden_in(&self, text: &str) -> String {
        // One of a few letters would blot out half of what a server says, and is no secret.
        if self.0.len() < 4 { text.to_owned() } else { text.replace(&*self.0, "…") }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why the page is asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// There is none yet.
    Start,
    /// The server took the last one before, and no longer does; with its status.
    Expired(u16),
    /// The server never took the last one; with its status.
    Refused(u16),
    /// The person asked to log in again.
    Person,
}

impl Occasion {
    /// The word for the host page.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Expired(_) => "expired",
            Self::Refused(_) => "refused",
            Self::Person => "person",
        }
    }

    /// The server's status, if it said something.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Expired(status) | Self::Refused(status) => Some(status),
            Self::Start | Self::Person => None,
        }
    }
}

/// What is known of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// None is needed, or there is one that may be used.
    #[default]
    Fine,
    /// The page has been asked and has not answered yet.
    Asking,
    /// The page gave none, or one that the server refuses: the person can ask it again.
    Missing,
}

/// The token of one delivery, and the asking for it.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    wanted: bool,
    token: Option<Token>,
    /// The server has taken the token that there is.
    taken: bool,
    asking: bool,
    /// Tokens that were refused one after the other without ever having been taken.
    in_vain: u32,
    /// Why the page is to be asked next, and not before when.
    next: Option<(Occasion, Timestamp)>,
}

impl Credential {
    /// `wanted`: the configuration has a place for a token.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Self { wanted, next: wanted.then_some((Occasion::Start, Timestamp::default())), ..Self::default() }
    }

    /// The token to send; `Err` if one is wanted and there is none.
    ///
    /// # Errors
    /// Nothing may be sent before the page has given a token.
    pub fn token(&self) -> Result<Option<&Token>, Standing> {
        match (&self.token, self.wanted) {
            (Some(token), _) => Ok(Some(token)),
            (None, false) => Ok(None),
            (None, true) => Err(self.standing()),
        }
    }

    /// Whether the page is to be asked now, and why; then [`Credential::given`] follows.
    pub fn ask(&mut self, now: Timestamp) -> Option<Occasion> {
        let (occasion, at) = self.next?;
        // A clock that was set back must not make the person wait for it.
        let due = now >= at || at.since(now) > WAIT_MOST_MS;
        if self.asking || !due {
            return None;
        }
        (self.asking, self.next) = (true, None);
        Some(occasion)
    }

    /// The page answered: with a token, or without one. `false`: it gives none, and nobody waits for it any more.
    pub fn given(&mut self, token: Option<Token>) -> bool {
        let waited_for = std::mem::take(&mut self.asking);
        if token.is_none() && !waited_for {
            return false;
        }
        // The same once more counts as a new one: whether it is any good only the server knows.
        self.taken = false;
        self.token = token;
        true
    }

    /// The page has not answered for long: it may be asked once more. What it still gives is taken.
    pub fn waited_too_long(&mut self) {
        self.asking = false;
    }

    /// The server took a request that bore the token.
    pub fn was_taken(&mut self) {
        (self.taken, self.in_vain) = (self.token.is_some(), 0);
    }

    /// The server refused a request that bore `with`, with this status.
    pub fn was_refused(&mut self, with: Option<&Token>, status: u16, now: Timestamp) {
        // An answer to an earlier token says nothing about the present one.
        if !self.wanted || self.asking || with != self.token.as_ref() {
            return;
        }
        self.next = Some(if self.taken {
            (Occasion::Expired(status), now)
        } else {
            let wait = (WAIT_MS << self.in_vain.min(10)).min(WAIT_MOST_MS);
            self.in_vain += 1;
            (Occasion::Refused(status), now.plus(wait))
        });
        self.taken = false;
        self.token = None;
    }

    /// The person, or the page itself, wants to be asked now.
    pub fn log_in(&mut self) {
        if self.wanted && !self.asking {
            self.next = Some((Occasion::Person, Timestamp::default()));
        }
    }

    /// When [`Credential::ask`] is worth calling, if time alone changes its answer.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.next.filter(|_| !self.asking).map(|(_, at)| at)
    }

    /// What is known of the token.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (&self.token, self.asking) {
            (_, true) => Standing::Asking,
            (None, false) if self.wanted => Standing::Missing,
            _ => Standing::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn token(text: &str) -> Token {
        Token::new(text).unwrap()
    }

    fn with(text: &str) -> Credential {
        let mut credential = Credential::new(true);
        assert_eq!(credential.ask(NOW), Some(Occasion::Start));
        credential.given(Some(token(text)));
        credential
    }

    #[test]
    fn the_page_is_asked_once_before_the_first_request_and_not_at_all_where_no_token_is_wanted() {
        let mut credential = Credential::new(true);
        assert_eq!(credential.token(), Err(Standing::Missing));
        assert_eq!(credential.ask(NOW), Some(Occasion::Start));
        assert_eq!((credential.ask(NOW), credential.standing()), (None, Standing::Asking));
        credential.given(Some(token("one")));
        assert_eq!(credential.token(), Ok(Some(&token("one"))));
        let mut none = Credential::new(false);
        assert_eq!((none.ask(NOW), none.token()), (None, Ok(None)));
    }

    #[test]
    fn a_token_that_was_taken_before_has_expired_and_the_page_is_asked_at_once() {
        let mut credential = with("one");
        for round in 0..20 {
            credential.was_taken();
            let old = credential.token().unwrap().cloned();
            credential.was_refused(old.as_ref(), 401, NOW);
            assert_eq!(credential.ask(NOW), Some(Occasion::Expired(401)), "round {round}");
            credential.given(Some(token(&format!("token {round}"))));
        }
    }

    #[test]
    fn tokens_that_are_never_taken_are_asked_for_ever_more_seldom() {
        let mut credential = with("bad");
        let (mut now, mut waits) = (NOW, Vec::new());
        for _ in 0..8 {
            credential.was_refused(Some(&token("bad")), 403, now);
            assert_eq!((credential.ask(now), credential.standing()), (None, Standing::Missing));
            let at = credential.wake_at().unwrap();
            waits.push(at.since(now));
            now = at;
            assert_eq!(credential.ask(now), Some(Occasion::Refused(403)));
            credential.given(Some(token("bad")));
        }
        assert_eq!(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    }

    #[test]
    fn a_page_that_gives_nothing_is_asked_again_by_the_person_only() {
        let mut credential = Credential::new(true);
        credential.ask(NOW);
        credential.given(None);
        assert_eq!((credential.standing(), credential.wake_at()), (Standing::Missing, None));
        assert_eq!(credential.ask(NOW.plus(WAIT_MOST_MS)), None);
        credential.log_in();
        assert_eq!(credential.ask(NOW), Some(Occasion::Person));
    }

    #[test]
    fn a_page_that_does_not_answer_can_be_asked_once_more_and_may_still_answer() {
        let mut credential = Credential::new(true);
        credential.ask(NOW);
        credential.waited_too_long();
        assert_eq!(credential.standing(), Standing::Missing, "the person is told");
        credential.log_in();
        assert_eq!(credential.ask(NOW), Some(Occasion::Person));
        credential.given(Some(token("second")));
        credential.given(None);
        assert_eq!(
            credential.token(),
            Ok(Some(&token("second"))),
            "the first asking was given up, and comes late"
        );
    }

    #[test]
    fn a_late_answer_to_an_earlier_token_does_not_void_the_present_one() {
        let mut credential = with("new");
        credential.was_refused(Some(&token("old")), 401, NOW);
        assert_eq!(credential.token(), Ok(Some(&token("new"))));
    }

    #[test]
    fn a_secret_is_in_no_message() {
        let secret = token("s3cr3t-token");
        assert!(!format!("{secret:?} {:?}", with("s3cr3t-token")).contains("s3cr3t"));
        assert_eq!(secret.hidden_in("bad header: Token s3cr3t-token!"), "bad header: Token …!");
    }

    #[test]
    fn what_no_header_can_hold_is_no_token() {
        for bad in ["", " ", "a\nb", "a\u{0}", "\u{2028}", "€"] {
            assert_eq!(Token::new(bad), None, "{bad:?}");
        }
        assert_eq!(token(" a b ").secret(), "a b");
    }
}
