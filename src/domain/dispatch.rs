//! Hands items to workers: bounded work in flight, deadlines, one retry.
//!
//! A worker is a fault domain: it may panic, run out of memory or never answer. Then it is replaced, the
//! items of the batch that it held are tried once more one by one, and an item that fails again is given
//! back as one that could not be predicted.

use std::collections::VecDeque;

use super::few::Few;
use super::ident::Timestamp;
use super::item::ItemKey;

/// Which worker; a replacement has a new number, so that a late message of the dead one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// One message to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

/// How work is handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DispatchRules {
    /// How many workers.
    pub workers: usize,
    /// Time a worker may take for one item, milliseconds; a batch has this for each of its items.
    pub item_deadline_ms: i64,
    /// Time a new worker may take until it is ready, milliseconds: compile, load and probe the model.
    pub start_deadline_ms: i64,
    /// What a batch should take, milliseconds: long enough that messages cost little, short enough that
    /// results keep coming and a lost worker loses little.
    pub batch_ms: f64,
    /// Most items in one message.
    pub batch_most: usize,
    /// Every core has a worker: one of them rests while the person answers, so that the next question is not kept
    /// waiting by what nobody waits for.
    pub spares_a_core: bool,
}

impl Default for DispatchRules {
    fn default() -> Self {
        Self {
            workers: 2,
            item_deadline_ms: 10_000,
            start_deadline_ms: 60_000,
            batch_ms: 30.0,
            batch_most: 64,
            spares_a_core: false,
        }
    }
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start this worker and load the model into it.
    Start(WorkerId),
    /// Send these items.
    Predict {
        /// To whom.
        worker: WorkerId,
        /// To recognise the reply.
        ticket: Ticket,
        /// What.
        items: Vec<ItemKey>,
    },
    /// Terminate this worker; it will not be heard again.
    Stop(WorkerId),
}

/// Messages that may wait at one worker: one that it works on, one that it finds when it is done.
const IN_FLIGHT: usize = 2;
/// How long after the person did something one more thing is likely: as slow as most answers are.
const AT_WORK_MS: i64 = 2_000;
/// So late after a deadline nobody but a device that slept comes to look.
const ASLEEP_MS: i64 = 5_000;
/// Workers that die one after the other before any was ready: then it is not bad luck.
const MOST_FAILED_STARTS: u32 = 3;

#[derive(Clone, Debug)]
struct Worker {
    ready: bool,
    deadline: Timestamp,
    /// It was given more time for a sleep of the device, and has not been heard of since.
    slept: bool,
    flights: VecDeque<Flight>,
}

#[derive(Clone, Debug)]
struct Flight {
    ticket: Ticket,
    items: Vec<ItemKey>,
    sent: Timestamp,
    /// An item's second try: nothing else is in the worker then, so that a death is nobody else's fault.
    trial: bool,
}

/// The work that is to be done, that is being done, and by whom.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    rules: DispatchRules,
    running: bool,
    waiting: VecDeque<ItemKey>,
    /// Items that a worker died over, to be tried alone.
    retry: VecDeque<ItemKey>,
    workers: Few<WorkerId, Worker>,
    /// What workers have answered and nobody has made predictions of yet: the learner is asked about it.
    returned: Few<Ticket, Vec<ItemKey>>,
    next_worker: u32,
    next_ticket: u32,
    failed_starts: u32,
    /// Moving average of what an item takes in a worker, milliseconds.
    item_ms: f64,
    /// Until when the person is taken to be at work.
    at_work: Option<Timestamp>,
}

impl Dispatcher {
    /// A dispatcher that starts no worker before [`Dispatcher::run`].
    #[must_use]
    pub fn new(rules: DispatchRules) -> Self {
        Self {
            rules,
            running: false,
            waiting: VecDeque::new(),
            retry: VecDeque::new(),
            workers: Few::default(),
            returned: Few::default(),
            next_worker: 0,
            next_ticket: 0,
            failed_starts: 0,
            item_ms: 10.0,
            at_work: None,
        }
    }

    /// How many items have no result yet.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let in_flight: usize = self.workers.iter().flat_map(|(_, w)| &w.flights).map(|f| f.items.len()).sum();
        let returned: usize = self.returned.iter().map(|(_, items)| items.len()).sum();
        self.waiting.len() + self.retry.len() + in_flight + returned
    }

    /// Whether the workers could not be brought up; nothing more is handed out then.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.failed_starts >= MOST_FAILED_STARTS
    }

    /// When [`Dispatcher::orders`] should be asked again at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        // Nothing is handed out while nothing runs: a moment that passes then is none to come back at.
        let waits = self.hands_out() && (!self.waiting.is_empty() || !self.retry.is_empty());
        let rests = self.at_work.filter(|_| waits);
        let timed = self.workers.iter().filter(|(_, w)| self.is_timed(w)).map(|(_, w)| w.deadline);
        timed.chain(rests).min()
    }

    /// Hands out work from now on (`true`) or only waits for what is out (`false`): workers that are not up yet have
    /// all their time once it runs again.
    pub fn run(&mut self, running: bool, now: Timestamp) {
        if running && !self.running {
            let deadline = now.plus(self.rules.start_deadline_ms);
            let coming: Vec<_> = self.workers.iter().filter(|(_, w)| !w.ready).map(|(id, _)| id).collect();
            for id in coming {
                self.workers.get_mut(id).into_iter().for_each(|worker| worker.deadline = deadline);
            }
        }
        self.running = running;
    }

    /// The person did something, and has more to do.
    pub fn at_work(&mut self, now: Timestamp) {
        self.at_work = self.rules.spares_a_core.then(|| now.plus(AT_WORK_MS));
    }

    /// The person has nothing to do: all workers are wanted.
    pub fn at_rest(&mut self) {
        self.at_work = None;
    }

    /// Adds an item before all that wait: others are decided by what is said of it.
    pub fn add_first(&mut self, item: ItemKey) {
        self.waiting.push_front(item);
    }

    /// Adds an item to the work.
    pub fn add(&mut self, item: ItemKey) {
        self.waiting.push_back(item);
    }

    /// Takes out everything that is not in a worker's hands, for a page that goes on without a model.
    pub fn take_waiting(&mut self) -> Vec<ItemKey> {
        self.retry.drain(..).chain(self.waiting.drain(..)).collect()
    }

    /// The worker has loaded the model.
    pub fn ready(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(worker) {
            (worker.ready, worker.slept) = (true, false);
            self.failed_starts = 0;
        }
    }

    /// The worker has answered, and what it said is on its way through the learner: its time is over, and no later
    /// death of the worker takes the answer back. Then comes [`Dispatcher::done`].
    pub fn returned(&mut self, worker: WorkerId, ticket: Ticket, now: Timestamp) {
        if let Some(items) = self.landed(worker, ticket, now) {
            self.returned.insert(ticket, items);
        }
    }

    /// What the worker said is known: the items that it was given; `None` for a late answer that nobody waits
    /// for any more.
    pub fn done(&mut self, worker: WorkerId, ticket: Ticket, now: Timestamp) -> Option<Vec<ItemKey>> {
        self.returned.remove(ticket).or_else(|| self.landed(worker, ticket, now))
    }

    fn landed(&mut self, worker: WorkerId, ticket: Ticket, now: Timestamp) -> Option<Vec<ItemKey>> {
        let worker = self.workers.get_mut(worker)?;
        let at = worker.flights.iter().position(|flight| flight.ticket == ticket)?;
        let flight = worker.flights.remove(at)?;
        worker.slept = false;
        // One that overtook another leaves that one's clock alone, and was not worked on since it was sent.
        if at == 0 {
            #[allow(clippy::cast_precision_loss)]
            let each = now.since(flight.sent) as f64 / flight.items.len().max(1) as f64;
            self.item_ms = 0.8 * self.item_ms + 0.2 * each.max(0.01);
            if let Some(next) = worker.flights.front_mut() {
                // Its time starts when the worker gets to it, not when it was sent.
                next.sent = now;
                worker.deadline = deadline(&self.rules, next.items.len(), now);
            }
        }
        Some(flight.items)
    }

    /// The worker died; the items that failed for the second time come back.
    pub fn lost(&mut self, worker: WorkerId) -> Vec<ItemKey> {
        let Some(worker) = self.workers.remove(worker) else { return Vec::new() };
        if !worker.ready {
            self.failed_starts += 1;
        }
        let mut failed = Vec::new();
        for (i, flight) in worker.flights.into_iter().enumerate() {
            // The first is the likelier to have been worked on: what lay behind it may well be innocent, and if it is
            // not, it will be the first one day.
            if i > 0 {
                flight.items.into_iter().rev().for_each(|item| self.waiting.push_front(item));
                continue;
            }
            // Only what was alone in the worker is known to be guilty: everything else gets a try alone.
            if flight.trial { failed.extend(flight.items) } else { self.retry.extend(flight.items) }
        }
        failed
    }

    /// Workers that have exceeded their deadline; the caller stops them and reports them [`lost`](Self::lost).
    ///
    /// To be asked at [`Dispatcher::wake_at`]. Asked much later, the device slept and its workers with it: each gets
    /// all its time once more. A second time it is not believed, as timers of hidden pages are late, too.
    #[must_use]
    pub fn overdue(&mut self, now: Timestamp) -> Vec<WorkerId> {
        let late = |w: &Worker| self.is_timed(w) && w.deadline <= now;
        let mut late: Vec<_> = self.workers.iter().filter(|(_, w)| late(w)).map(|(id, _)| id).collect();
        late.retain(|id| {
            let Some(worker) = self.workers.get_mut(*id) else { return false };
            let slept = now.since(worker.deadline) > ASLEEP_MS && !worker.slept;
            if slept {
                worker.slept = true;
                worker.deadline = match worker.flights.front() {
                    Some(flight) if worker.ready => deadline(&self.rules, flight.items.len(), now),
                    _ => now.plus(self.rules.start_deadline_ms),
                };
            }
            !slept
        });
        late
    }

    /// Whether a worker's deadline counts: it has work, or is to come up.
    fn is_timed(&self, worker: &Worker) -> bool {
        !worker.flights.is_empty() || !worker.ready && self.running
    }

    fn hands_out(&self) -> bool {
        self.running && !self.gave_up()
    }

    /// What is to be done now. Calling it twice without news yields nothing new.
    pub fn orders(&mut self, now: Timestamp) -> Vec<Order> {
        let mut orders = Vec::new();
        if !self.hands_out() {
            return orders;
        }
        while self.workers.len() < self.rules.workers {
            let id = WorkerId(self.next_worker);
            self.next_worker += 1;
            let deadline = now.plus(self.rules.start_deadline_ms);
            self.workers
                .insert(id, Worker { ready: false, deadline, slept: false, flights: VecDeque::new() });
            orders.push(Order::Start(id));
        }
        // Also over, if the clock was set back.
        self.at_work.take_if(|until| *until <= now || until.since(now) > AT_WORK_MS);
        let ready = self.workers.iter().filter(|(_, w)| w.ready).map(|(id, _)| id);
        let resting = self.at_work.and(ready.skip(1).last());
        // What waits for the learner takes up its worker's room: it is not heaped up before the learner, nor does the
        // page get it in one lump when that is done.
        let usable = self.workers.iter().filter(|(id, w)| w.ready && Some(*id) != resting);
        let (workers, flights) = usable.fold((0, 0), |(n, out), (_, w)| (n + 1, out + w.flights.len()));
        let mut room = (IN_FLIGHT * workers).saturating_sub(flights + self.returned.len());
        // Round by round, so that the first items are spread over all workers.
        for depth in 0..IN_FLIGHT {
            // A second try waits for a worker that has nothing else, and nothing comes behind it.
            if depth > 0 && !self.retry.is_empty() {
                break;
            }
            let free: Vec<_> = self
                .workers
                .iter()
                .filter(|(id, w)| w.ready && w.flights.len() == depth && Some(*id) != resting)
                .filter(|(_, w)| w.flights.front().is_none_or(|flight| !flight.trial))
                .map(|(id, _)| id)
                .collect();
            for id in free {
                let trial = depth == 0 && !self.retry.is_empty();
                let items = if room > 0 { self.next_items() } else { Vec::new() };
                if items.is_empty() {
                    return orders;
                }
                room -= 1;
                let ticket = Ticket(self.next_ticket);
                self.next_ticket = self.next_ticket.wrapping_add(1);
                if let Some(worker) = self.workers.get_mut(id) {
                    if worker.flights.is_empty() {
                        worker.deadline = deadline(&self.rules, items.len(), now);
                    }
                    worker.flights.push_back(Flight { ticket, items: items.clone(), sent: now, trial });
                }
                orders.push(Order::Predict { worker: id, ticket, items });
            }
        }
        orders
    }

    /// Stops every worker, to be started anew with another model.
    pub fn restart(&mut self) -> Vec<Order> {
        self.failed_starts = 0;
        self.returned.clear();
        std::mem::take(&mut self.workers).iter().map(|(id, _)| Order::Stop(id)).collect()
    }

    /// Stops every worker.
    pub fn stop(&mut self) -> Vec<Order> {
        self.running = false;
        self.returned.clear();
        std::mem::take(&mut self.workers).iter().map(|(id, _)| Order::Stop(id)).collect()
    }

    fn next_items(&mut self) -> Vec<ItemKey> {
        if let Some(suspect) = self.retry.pop_front() {
            return vec![suspect];
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fitting = (self.rules.batch_ms / self.item_ms) as usize;
        let share = self.waiting.len().div_ceil(self.rules.workers.max(1));
        let count = fitting.clamp(1, self.rules.batch_most).min(share.max(1)).min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }
}

fn deadline(rules: &DispatchRules, items: usize, now: Timestamp) -> Timestamp {
    now.plus(rules.item_deadline_ms.saturating_mul(i64::try_from(items).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(0);

    fn started(workers: usize, items: u32) -> Dispatcher {
        let mut dispatcher =
            Dispatcher::new(DispatchRules { workers, batch_most: 4, ..DispatchRules::default() });
        (0..items).for_each(|i| dispatcher.add(ItemKey(i)));
        dispatcher.run(true, NOW);
        let started = dispatcher.orders(NOW);
        assert_eq!(started.len(), workers);
        (0..workers).for_each(|i| dispatcher.ready(WorkerId(u32::try_from(i).unwrap_or(0))));
        dispatcher
    }

    fn sent(orders: &[Order]) -> Vec<(WorkerId, Ticket, Vec<u32>)> {
        orders
            .iter()
            .filter_map(|order| match order {
                Order::Predict { worker, ticket, items } => {
                    Some((*worker, *ticket, items.iter().map(|i| i.0).collect()))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn work_in_flight_is_bounded_and_spread() {
        let mut dispatcher = started(2, 1000);
        let orders = sent(&dispatcher.orders(NOW));
        assert_eq!(orders.iter().map(|(w, ..)| w.0).collect::<Vec<_>>(), [0, 1, 0, 1]);
        assert!(orders.iter().all(|(_, _, items)| items.len() <= 4));
        assert!(dispatcher.orders(NOW).is_empty());
        let (worker, ticket, _) = orders[0].clone();
        assert!(dispatcher.done(worker, ticket, NOW).is_some());
        assert_eq!(sent(&dispatcher.orders(NOW)).len(), 1);
    }

    #[test]
    fn fast_items_travel_in_larger_batches() {
        let mut dispatcher = started(1, 100_000);
        dispatcher.rules.batch_most = 64;
        let mut now = NOW;
        let mut size = 0;
        for _ in 0..40 {
            for (worker, ticket, items) in sent(&dispatcher.orders(now)) {
                size = items.len();
                now = now.plus(i64::try_from(items.len()).unwrap_or(0) / 4);
                dispatcher.done(worker, ticket, now);
            }
        }
        assert_eq!(size, 64);
    }

    #[test]
    fn when_a_worker_dies_each_of_its_items_is_tried_alone_and_the_guilty_one_comes_back() {
        let mut dispatcher = started(1, 3);
        let orders = sent(&dispatcher.orders(NOW));
        assert_eq!(orders[0].2, [0, 1, 2]);
        assert!(dispatcher.lost(WorkerId(0)).is_empty(), "each has a second try");
        let mut failed = Vec::new();
        let mut good = Vec::new();
        for _ in 0..20 {
            for order in dispatcher.orders(NOW) {
                match order {
                    Order::Start(id) => dispatcher.ready(id),
                    Order::Predict { worker, ticket, items } => {
                        assert_eq!(items.len(), 1, "suspects travel alone");
                        if items == [ItemKey(1)] {
                            failed.extend(dispatcher.lost(worker));
                            break;
                        } else if dispatcher.done(worker, ticket, NOW).is_some() {
                            good.extend(items);
                        }
                    }
                    Order::Stop(_) => {}
                }
            }
        }
        assert_eq!(failed, [ItemKey(1)]);
        good.sort();
        assert_eq!(good, [ItemKey(0), ItemKey(2)]);
        assert_eq!(dispatcher.unfinished(), 0);
    }

    #[test]
    fn an_item_that_travelled_alone_is_retried_once() {
        let mut dispatcher = started(1, 1);
        let mut tries = 0;
        let mut failed = Vec::new();
        for _ in 0..10 {
            for order in dispatcher.orders(NOW) {
                match order {
                    Order::Start(id) => dispatcher.ready(id),
                    Order::Predict { worker, .. } => {
                        tries += 1;
                        failed.extend(dispatcher.lost(worker));
                    }
                    Order::Stop(_) => {}
                }
            }
        }
        assert_eq!((tries, failed), (2, vec![ItemKey(0)]));
    }

    #[test]
    fn of_two_items_that_are_retried_the_innocent_one_is_not_blamed() {
        let mut dispatcher = started(1, 2);
        assert_eq!(sent(&dispatcher.orders(NOW))[0].2, [0, 1]);
        // Item 1 is the one that kills, also when it lies behind the other.
        let mut failed = dispatcher.lost(WorkerId(0));
        let mut good = Vec::new();
        for _ in 0..10 {
            let orders = dispatcher.orders(NOW);
            orders.iter().for_each(|order| {
                if let Order::Start(id) = order {
                    dispatcher.ready(*id);
                }
            });
            let out = sent(&orders);
            if let Some((worker, ..)) = out.iter().find(|(.., items)| items.contains(&1)) {
                failed.extend(dispatcher.lost(*worker));
                continue;
            }
            for (worker, ticket, items) in out {
                assert!(dispatcher.done(worker, ticket, NOW).is_some());
                good.extend(items);
            }
        }
        assert_eq!((failed, good), (vec![ItemKey(1)], vec![0]));
    }

    #[test]
    fn an_answer_that_overtakes_another_gives_that_one_no_more_time() {
        let mut dispatcher = started(1, 8);
        let orders = sent(&dispatcher.orders(NOW));
        assert_eq!((orders.len(), orders[0].2.len()), (2, 3));
        let due = dispatcher.wake_at();
        let later = NOW.plus(20_000);
        assert!(dispatcher.done(orders[1].0, orders[1].1, later).is_some());
        assert_eq!(dispatcher.wake_at(), due);
        assert_eq!(dispatcher.overdue(NOW.plus(31_000)), [WorkerId(0)], "the first one hangs");
    }

    #[test]
    fn what_the_learner_takes_its_time_over_is_no_worker_s_fault() {
        let mut dispatcher = started(1, 1);
        let orders = sent(&dispatcher.orders(NOW));
        let (item_ms, (worker, ticket, _)) = (dispatcher.item_ms, orders[0].clone());
        dispatcher.returned(worker, ticket, NOW.plus(10));
        assert_eq!((dispatcher.unfinished(), dispatcher.wake_at()), (1, None));
        let later = NOW.plus(60_000);
        assert!(dispatcher.overdue(later).is_empty());
        assert!(dispatcher.lost(worker).is_empty(), "what it had answered is not asked of another");
        assert_eq!(dispatcher.done(worker, ticket, later), Some(vec![ItemKey(0)]));
        assert!(dispatcher.item_ms <= item_ms && dispatcher.unfinished() == 0);
    }

    #[test]
    fn a_pause_while_the_person_is_at_work_wakes_nobody() {
        let rules = DispatchRules { workers: 1, spares_a_core: true, ..DispatchRules::default() };
        let mut dispatcher = Dispatcher::new(rules);
        dispatcher.add(ItemKey(0));
        dispatcher.run(true, NOW);
        dispatcher.orders(NOW);
        dispatcher.ready(WorkerId(0));
        dispatcher.at_work(NOW);
        dispatcher.run(false, NOW);
        dispatcher.at_work(NOW);
        assert_eq!(dispatcher.wake_at(), None);
        dispatcher.run(true, NOW);
        assert!(dispatcher.wake_at().is_some());
    }

    #[test]
    fn a_worker_that_does_not_answer_is_overdue_and_its_late_answer_is_ignored() {
        let mut dispatcher = started(1, 1);
        let orders = sent(&dispatcher.orders(NOW));
        let late = NOW.plus(10_001);
        assert!(dispatcher.overdue(NOW.plus(9_999)).is_empty());
        assert_eq!(dispatcher.overdue(late), [WorkerId(0)]);
        assert!(dispatcher.lost(WorkerId(0)).is_empty());
        assert_eq!(dispatcher.done(WorkerId(0), orders[0].1, late), None);
    }

    #[test]
    fn a_device_that_slept_does_not_cost_a_worker_unless_that_stays_silent() {
        let mut dispatcher = Dispatcher::new(DispatchRules { workers: 1, ..DispatchRules::default() });
        dispatcher.add(ItemKey(0));
        dispatcher.run(true, NOW);
        assert_eq!(dispatcher.orders(NOW), [Order::Start(WorkerId(0))]);
        let morning = NOW.plus(8 * 3_600_000);
        assert!(dispatcher.overdue(morning).is_empty(), "it was loading when the lid was closed");
        assert_eq!(dispatcher.wake_at(), Some(morning.plus(60_000)));
        dispatcher.ready(WorkerId(0));
        assert_eq!(sent(&dispatcher.orders(morning)).len(), 1);
        let noon = morning.plus(4 * 3_600_000);
        assert!(dispatcher.overdue(noon).is_empty(), "it was at work");
        assert_eq!(dispatcher.wake_at(), Some(noon.plus(10_000)));
        assert_eq!(dispatcher.overdue(noon.plus(60_000)), [WorkerId(0)], "once is enough");
    }

    #[test]
    fn while_the_person_answers_one_worker_rests_and_no_longer() {
        let rules =
            DispatchRules { workers: 2, batch_most: 1, spares_a_core: true, ..DispatchRules::default() };
        let mut dispatcher = Dispatcher::new(rules);
        (0..50).for_each(|i| dispatcher.add(ItemKey(i)));
        dispatcher.run(true, NOW);
        assert_eq!(dispatcher.orders(NOW).len(), 2);
        dispatcher.ready(WorkerId(0));
        dispatcher.at_work(NOW);
        let to = |orders: Vec<Order>| -> Vec<u32> {
            let worker =
                |order| if let Order::Predict { worker, .. } = order { Some(worker.0) } else { None };
            orders.into_iter().filter_map(worker).collect()
        };
        assert_eq!(to(dispatcher.orders(NOW)), [0, 0], "one that is alone does not rest");
        dispatcher.ready(WorkerId(1));
        assert_eq!(to(dispatcher.orders(NOW)), [0; 0]);
        let later = NOW.plus(AT_WORK_MS);
        assert_eq!(dispatcher.wake_at(), Some(later));
        assert_eq!(to(dispatcher.orders(later)), [1, 1]);
        dispatcher.at_work(later);
        dispatcher.done(WorkerId(1), Ticket(2), later);
        assert_eq!(to(dispatcher.orders(later)), [0; 0]);
        dispatcher.at_rest();
        assert_eq!(to(dispatcher.orders(later)), [1], "nobody is to wait for predictions");
        dispatcher.at_work(later);
        dispatcher.done(WorkerId(1), Ticket(3), later);
        assert_eq!(to(dispatcher.orders(later.plus(-60_000))), [1], "the clock was set back");
    }

    #[test]
    fn workers_that_load_while_nothing_runs_have_all_their_time_afterwards() {
        let mut dispatcher = Dispatcher::new(DispatchRules { workers: 2, ..DispatchRules::default() });
        dispatcher.run(true, NOW);
        assert_eq!(dispatcher.orders(NOW).len(), 2);
        dispatcher.run(false, NOW);
        let later = NOW.plus(600_000);
        assert_eq!((dispatcher.overdue(later), dispatcher.wake_at()), (vec![], None));
        dispatcher.run(true, later);
        assert!(dispatcher.overdue(later).is_empty() && dispatcher.wake_at() > Some(later));
    }

    #[test]
    fn workers_that_never_come_up_are_not_started_for_ever() {
        let mut dispatcher = Dispatcher::new(DispatchRules { workers: 1, ..DispatchRules::default() });
        dispatcher.add(ItemKey(0));
        dispatcher.run(true, NOW);
        let mut starts = 0;
        for _ in 0..10 {
            for order in dispatcher.orders(NOW) {
                if let Order::Start(id) = order {
                    starts += 1;
                    dispatcher.lost(id);
                }
            }
        }
        assert_eq!(starts, 3);
        assert!(dispatcher.gave_up());
        assert_eq!(dispatcher.take_waiting(), [ItemKey(0)]);
    }
}
