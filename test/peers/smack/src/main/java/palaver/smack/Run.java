package palaver.smack;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.List;

import org.igniterealtime.smack.inttest.Configuration;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework;
import org.igniterealtime.smack.inttest.XmppConnectionDescriptor;
import org.igniterealtime.smack.inttest.XmppConnectionManager;
import org.jivesoftware.smack.c2s.ModularXmppClientToServerConnection;
import org.jivesoftware.smack.c2s.ModularXmppClientToServerConnectionConfiguration;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;
import org.jivesoftware.smackx.iqregister.AccountManager;

/**
 * Runs the suite against a server on any port and writes every test's outcome to a file.
 *
 * <p>Takes the port and the file; everything else are the suite's own <code>sinttest.</code> properties.
 * Exit status: 0 when the suite came to its end, whatever the outcomes; 1 when it broke off.
 */
public final class Run {

    private static final List<String> WITHOUT_PORT = List.of(
        "tcp", "modular", "modular-nocompress", "modular-websocket-okhttp", "modular-websocket-java11");

    /**
     * How often a test that failed is tried by itself. Some take the presence that a new subscription
     * brings for the one that they have caused, where the server is quicker than their next line.
     */
    private static final int ATTEMPTS_ALONE = 3;

    /** More failures than this are no accident. */
    private static final int MAX_ALONE = 6;

    private Run() {
    }

    public static void main(String[] arguments) throws Exception {
        connectTo(Integer.parseInt(arguments[0]));
        // Where encryption is not required the suite says the same, but after its connections have been made.
        AccountManager.sensitiveOperationOverInsecureConnectionDefault(true);
        Report report = new Report();
        boolean complete = run(report) || run(report);
        for (int attempt = 0; attempt < ATTEMPTS_ALONE && report.failed().size() <= MAX_ALONE; attempt++) {
            for (String test : report.failed()) {
                System.setProperty("sinttest.enabledTests", test);
                run(report);
            }
        }
        report.write(Path.of(arguments[1]));
        // Some connections leave threads behind.
        System.exit(complete ? 0 : 1);
    }

    /** Runs what the properties say; false when the suite broke off, as it does at what it takes for its own mistake. */
    private static boolean run(Report report) throws IOException, GeneralSecurityException {
        Suite suite = new Suite(Configuration.newConfiguration(new String[0]));
        try {
            suite.run();
            return true;
        } catch (Exception | Error problem) {
            problem.printStackTrace();
            return false;
        } finally {
            report.add(suite.result());
        }
    }

    /** The suite can be told a host but no port; its kinds of connection can be told both. */
    private static void connectTo(int port) throws NoSuchMethodException {
        for (String nickname : WITHOUT_PORT) {
            XmppConnectionManager.removeConnectionDescriptor(nickname);
        }
        XmppConnectionManager.addConnectionDescriptor(
            XmppConnectionDescriptor
                .buildWith(XMPPTCPConnection.class, XMPPTCPConnectionConfiguration.class,
                    XMPPTCPConnectionConfiguration.Builder.class)
                .withNickname("tcp")
                .applyExtraConfiguration(builder -> builder.setPort(port))
                .build());
        XmppConnectionManager.addConnectionDescriptor(
            XmppConnectionDescriptor
                .buildWith(ModularXmppClientToServerConnection.class,
                    ModularXmppClientToServerConnectionConfiguration.class,
                    ModularXmppClientToServerConnectionConfiguration.Builder.class)
                .withNickname("modular")
                .applyExtraConfiguration(builder -> builder.setPort(port))
                .build());
    }

    /** The suite, with what it has found when it breaks off. */
    private static final class Suite extends SmackIntegrationTestFramework {

        Suite(Configuration configuration) {
            super(configuration);
        }

        TestRunResult result() {
            return testRunResult;
        }
    }
}
