//! The page, in a real browser: the seam between eventual and strong is there to be seen.

use crate::{bank::Bank, driver::Browser};

impl Browser {
    async fn opens_account(&self, id: &str, owner: &str) {
        self.fill("#open", "id", id).await;
        self.fill("#open", "owner", owner).await;
        self.click("#open button").await;
        self.hears(&format!("Opened {id}.")).await;
    }

    async fn pays_in(&self, id: &str, amount: &str) {
        self.fill("#cash", "id", id).await;
        self.fill("#cash", "amount", amount).await;
        self.click("#cash [value=deposits]").await;
        self.hears(&format!("Paid {amount} in.")).await;
    }

    async fn transfers(&self, from: &str, to: &str, amount: &str) {
        self.fill("#transfer", "from", from).await;
        self.fill("#transfer", "to", to).await;
        self.fill("#transfer", "amount", amount).await;
        self.click("#transfer button").await;
    }

    async fn looks_at(&self, id: &str) {
        self.click(&format!("#accounts [data-account={id}] button")).await;
    }

    async fn sets_pace(&self, pace: &str) {
        self.click(&format!("#pace [value={pace}]")).await;
        self.sees(&format!("#switches[data-pace={pace}]")).await;
    }

    /// Waits until every level gives this balance as current.
    async fn all_answer(&self, id: &str, balance: &str) {
        for level in ["eventual", "bounded", "after", "strong"] {
            self.answers(id, level, "current", balance).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_the_page_shows_what_each_level_answers_while_the_worker_is_stopped() {
    let bank = Bank::open().await;
    let Some(page) = Browser::at("the page, with a worker that stops", &bank.url).await else {
        return;
    };
    page.opens_account("alice", "Alice").await;
    page.opens_account("bob", "Bob").await;
    page.pays_in("alice", "100.00").await;
    page.transfers("alice", "bob", "30.00").await;
    page.hears("Transferred 30.00 from alice to bob.").await;
    page.looks_at("alice").await;
    page.all_answer("alice", "70.00").await;
    page.reads("statement", "to bob").await;

    page.transfers("alice", "bob", "70.01").await;
    page.hears("never debit more than the available balance").await;

    page.sets_pace("stopped").await;
    page.pays_in("alice", "5.00").await;
    page.answers("alice", "eventual", "converging", "70.00").await;
    page.answers("alice", "bounded", "pending", "").await;
    page.answers("alice", "after", "pending", "").await;
    page.answers("alice", "strong", "current", "75.00").await;
    page.sees("#total[data-status=converging]").await;

    page.sets_pace("full").await;
    page.all_answer("alice", "75.00").await;
    page.sees("#total[data-status=current]").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_the_page_shows_a_slow_worker_converge() {
    let bank = Bank::open().await;
    let Some(page) = Browser::at("the page, with a slow worker", &bank.url).await else { return };
    page.opens_account("alice", "Alice").await;
    page.all_answer("alice", "0.00").await;
    page.sets_pace("slow").await;
    for amount in ["1.00", "2.00", "3.00"] {
        page.pays_in("alice", amount).await;
    }
    page.answers("alice", "strong", "current", "6.00").await;
    page.sees("#level-eventual[data-status=converging]").await;
    page.all_answer("alice", "6.00").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_the_page_shows_a_parked_account_degraded_and_the_others_current() {
    let bank = Bank::open().await;
    let Some(page) = Browser::at("the page, with a parked account", &bank.url).await else {
        return;
    };
    page.opens_account("bob", "Bob").await;
    page.opens_account("alice", "Alice").await;
    page.pays_in("alice", "10.00").await;
    page.all_answer("alice", "10.00").await;

    page.click("#park:enabled").await;
    page.hears("Broke the balance of alice.").await;
    page.answers("alice", "eventual", "degraded", "10.00").await;
    page.answers("alice", "strong", "parked", "").await;
    page.sees("#parked [data-account=alice]").await;
    page.pays_in("alice", "2.00").await;
    page.pays_in("bob", "3.00").await;
    page.looks_at("bob").await;
    page.all_answer("bob", "3.00").await;

    page.looks_at("alice").await;
    page.answers("alice", "eventual", "degraded", "10.00").await;
    page.click("#retry:enabled").await;
    page.all_answer("alice", "12.01").await;
    page.sees("#none-parked:not([hidden])").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o4_the_policy_of_a_named_read_is_changed_and_taken_back_from_the_page() {
    let bank = Bank::open().await;
    let Some(page) = Browser::at("the page, with a policy", &bank.url).await else { return };
    page.opens_account("alice", "Alice").await;
    page.pays_in("alice", "1.00").await;
    page.all_answer("alice", "1.00").await;
    page.sees("#level-policy[data-level=read_your_writes]").await;

    // As written it serves what the view has when the budget is over, and says so.
    page.sets_pace("stopped").await;
    page.pays_in("alice", "2.00").await;
    page.answers("alice", "policy", "converging", "1.00").await;

    page.click("#policy [data-level=strong][data-percent='100']").await;
    page.sees("#history [data-change='1']").await;
    page.sees("#level-policy[data-level=strong]").await;
    page.answers("alice", "policy", "current", "3.00").await;

    page.click("#policy [data-level=eventual]").await;
    page.sees("#level-policy[data-level=eventual]").await;
    page.answers("alice", "policy", "converging", "1.00").await;

    page.click("#rollback").await;
    page.sees("#level-policy[data-level=strong]").await;
    page.click("#rollback").await;
    page.sees("#level-policy[data-level=read_your_writes]").await;
    page.sees("#history [data-change='4']").await;
    page.close().await;
}
