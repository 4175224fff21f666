package palaver.smack;

import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import org.igniterealtime.smack.inttest.AbstractSmackIntTest;
import org.igniterealtime.smack.inttest.FailedTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResult;
import org.igniterealtime.smack.inttest.SuccessfulTest;
import org.igniterealtime.smack.inttest.TestNotPossible;
import org.igniterealtime.smack.inttest.annotations.SmackIntegrationTest;
import org.igniterealtime.smack.inttest.annotations.SpecificationReference;
import org.reflections.Reflections;
import org.reflections.scanners.MethodAnnotationsScanner;

/**
 * The last outcome of every test of the suite.
 *
 * <p>It is written as a line each: outcome, specification, test and reason, separated by tabs. Outcomes are
 * passed, failed, impossible (the suite says so) and not-run (it was not asked to, or broke off).
 */
final class Report {

    private static final String[] PACKAGES = {"org.jivesoftware.smack", "org.jivesoftware.smackx"};

    private final Map<Method, String> outcomes = new HashMap<>();
    private final Map<Method, String> reasons = new HashMap<>();

    Report() {
        for (Method method : new Reflections(PACKAGES, new MethodAnnotationsScanner())
                .getMethodsAnnotatedWith(SmackIntegrationTest.class)) {
            put(method, "not-run", "");
        }
    }

    /** Takes what a run has found; where it has found nothing, what was found before stays. */
    void add(TestRunResult result) {
        for (SuccessfulTest test : result.getSuccessfulTests()) {
            put(test.concreteTest.getMethod(), "passed", "");
        }
        for (FailedTest test : result.getFailedTests()) {
            // Every run has other accounts; two reports of the same outcome should be the same.
            String reason = test.failureReason.toString().replace(result.testRunId, "RUN");
            put(test.concreteTest.getMethod(), "failed", reason);
        }
        for (TestNotPossible test : result.getNotPossibleTests()) {
            put(test.concreteTest.getMethod(), "impossible", test.testNotPossibleException.getMessage());
        }
        for (Map.Entry<Class<? extends AbstractSmackIntTest>, Throwable> entry
                : result.getImpossibleTestClasses().entrySet()) {
            for (Method method : entry.getKey().getMethods()) {
                if (method.isAnnotationPresent(SmackIntegrationTest.class)) {
                    put(method, "impossible", entry.getValue().getMessage());
                }
            }
        }
    }

    /** Gives the tests that have failed, by the names that the suite takes. */
    List<String> failed() {
        return outcomes.keySet().stream()
            .filter(method -> outcomes.get(method).equals("failed"))
            .map(Report::name)
            .collect(Collectors.toList());
    }

    void write(Path file) throws IOException {
        Files.write(file, outcomes.keySet().stream().map(this::line).collect(Collectors.toList()));
    }

    private void put(Method method, String outcome, String reason) {
        outcomes.put(method, outcome);
        reasons.put(method, String.valueOf(reason).replaceAll("\\s+", " "));
    }

    private String line(Method method) {
        SpecificationReference reference = method.getDeclaringClass().getAnnotation(SpecificationReference.class);
        String specification = reference == null ? "" : reference.document();
        return String.join("\t", outcomes.get(method), specification, name(method), reasons.get(method));
    }

    private static String name(Method method) {
        return method.getDeclaringClass().getSimpleName() + "." + method.getName();
    }
}
