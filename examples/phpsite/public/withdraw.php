<?php

require __DIR__ . '/../site.php';

$me = me();
$ledger = FOLDER . "/ledger-{$me['username']}.txt";
$problem = '';
if (posted()) {
    $amount = filter_var(given('amount'), FILTER_VALIDATE_INT, ['options' => ['min_range' => 1]]);
    $account = given('account');
    if (!$amount || !preg_match('/^[^\x00-\x1f]{1,100}$/D', $account)) {
        $problem = 'Jumlah atau rekening tidak sah.';
    } else {
        // Two equal withdrawals are two withdrawals.
        players(function (array &$players) use ($me, $ledger, $amount, $account, &$problem) {
            $balance = &$players[$me['username']]['balance'];
            if ($amount > $balance) {
                $problem = 'Saldo Anda tidak cukup.';
                return;
            }
            $balance -= $amount;
            $number = is_file($ledger) ? count(file($ledger)) + 1 : 1;
            file_put_contents($ledger, "$number\t$amount\t$account\n", FILE_APPEND);
        });
    }
    $problem || go('/withdraw.php');
}
$rows = '';
foreach (is_file($ledger) ? file($ledger, FILE_IGNORE_NEW_LINES) : [] as $line) {
    [$number, $amount, $account] = explode("\t", $line);
    $rows .= "<li value=\"$number\">Rp$amount ke " . text($account) . '</li>';
}
page('Dompet', <<<HTML
    <p>Saldo <strong>Rp{$me['balance']}</strong></p>
    <form method="post">
    <label>Jumlah (Rp) <input name="amount" inputmode="numeric" required></label>
    <label>Ke rekening <input name="account" value="BCA 1234567890" maxlength="100" required></label>
    <button>Tarik dana</button>
    </form>
    <ol>$rows</ol>
    HTML, $problem);
